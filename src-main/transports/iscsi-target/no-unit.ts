import { decodeCdb } from '#main/protocols/scsi/cdb.ts'
import { encodeDescriptorSense, encodeFixedSense, senses } from '#main/protocols/scsi/sense.ts'
import { inquireNothing } from './identity-pages.ts'
import { reportLuns } from './logical-unit.ts'
import { answer, refuse } from './outcome.ts'
import type { Plan } from './outcome.ts'

/** A LUN number under which nothing is served: it tells so, and which one there is (SPC-4, 6.6.2 and 6.33). */
export function planWithoutUnit(bytes: Uint8Array, lun: number): Plan {
  const cdb = decodeCdb(bytes)
  switch (cdb?.kind) {
    case 'inquiry':
      return inquireNothing(cdb)
    case 'report-luns':
      return reportLuns(cdb, [lun])
    case 'request-sense': {
      const encode = cdb.descriptorFormat === true ? encodeDescriptorSense : encodeFixedSense
      return answer(encode(senses.lunNotSupported), cdb.allocationLength)
    }
    default:
      return refuse(senses.lunNotSupported)
  }
}
