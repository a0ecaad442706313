import type { CdbOf } from '#main/protocols/scsi/cdb.ts'
import {
  encodeIdentification,
  naaDesignator,
  nameDesignator,
  portGroupDesignator,
  relativePortDesignator,
  t10Designator,
} from '#main/protocols/scsi/designators.ts'
import type { Designator } from '#main/protocols/scsi/designators.ts'
import { encodeInquiry } from '#main/protocols/scsi/inquiry.ts'
import type { Inquiry } from '#main/protocols/scsi/inquiry.ts'
import { senses } from '#main/protocols/scsi/sense.ts'
import {
  encodeBlockCharacteristics,
  encodeBlockLimits,
  encodeProvisioning,
  encodeSerial,
  encodeSupportedPages,
  vpdPage,
} from '#main/protocols/scsi/vpd.ts'
import type { TargetLunRequest } from './contract.ts'
import { limits } from './limits.ts'
import { answer, refuse } from './outcome.ts'
import type { Plan } from './outcome.ts'

const standard: Inquiry = {
  qualifier: 0,
  deviceType: 0,
  isRemovable: false,
  version: 6,
  tpgs: 0,
  hasThirdPartyCopy: true,
  hasCommandQueue: true,
  vendor: '',
  product: '',
  revision: '0001',
  // SAM-5, SPC-4, SBC-3, iSCSI (SPC-4, annex D)
  versionDescriptors: [0x00a0, 0x0460, 0x04c0, 0x0960],
}

/** What a LUN number has under which nothing is served; INQUIRY answers there all the same (SPC-4, 6.6.2). */
const nothing: Inquiry = { ...standard, qualifier: 3, deviceType: 0x1f }

export function inquireNothing(cdb: CdbOf<'inquiry'>): Plan {
  if (cdb.evpd === true || cdb.page !== 0) return refuse(senses.invalidFieldInCdb)
  return answer(encodeInquiry(nothing), cdb.allocationLength)
}

/** The names of a LUN, of the port and of the device (VPD page 83h). */
export const namesOf = ({ identity, vendor }: TargetLunRequest): Designator[] => [
  naaDesignator(identity.naa),
  t10Designator(vendor, identity.serial),
  relativePortDesignator(1),
  portGroupDesignator(1),
  nameDesignator('port', `${identity.target},t,0x0001`),
  nameDesignator('device', identity.target),
]

/** INQUIRY of a LUN, standard data and VPD pages. */
export function inquire(cdb: CdbOf<'inquiry'>, lun: TargetLunRequest, isThin: boolean): Plan {
  const { identity, vendor, product } = lun
  if (cdb.evpd !== true) {
    if (cdb.page !== 0) return refuse(senses.invalidFieldInCdb)
    return answer(encodeInquiry({ ...standard, vendor, product }), cdb.allocationLength)
  }
  const pages: Record<number, () => Uint8Array> = {
    [vpdPage.supportedPages]: () => encodeSupportedPages(Object.keys(pages).map(Number)),
    [vpdPage.serial]: () => encodeSerial(identity.serial),
    [vpdPage.identification]: () => encodeIdentification(namesOf(lun)),
    [vpdPage.blockLimits]: () =>
      encodeBlockLimits({
        refusesWriteSameToEnd: false,
        maxCompareAndWriteBlocks: limits.compareAndWriteBlocks,
        optimalTransferGranularity: 8,
        maxTransferBlocks: limits.transferBlocks,
        optimalTransferBlocks: 2048,
        maxUnmapBlocks: isThin ? 0xffffffff : 0,
        maxUnmapDescriptors: isThin ? limits.unmapDescriptors : 0,
        optimalUnmapGranularity: isThin ? 8 : 0,
        ...(isThin ? { unmapAlignment: 0 } : {}),
        maxWriteSameBlocks: 0,
      }),
    [vpdPage.characteristics]: () => encodeBlockCharacteristics({ rotationRate: 1, formFactor: 0 }),
    [vpdPage.provisioning]: () =>
      encodeProvisioning({
        hasUnmap: isThin,
        hasWriteSame16Unmap: isThin,
        hasWriteSame10Unmap: isThin,
        readsZeros: isThin,
        type: isThin ? 2 : 0,
      }),
  }
  const page = pages[cdb.page ?? 0]
  return page === undefined ? refuse(senses.invalidFieldInCdb) : answer(page(), cdb.allocationLength)
}
