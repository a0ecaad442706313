import { cdbLayouts, cdbUsage } from '#main/protocols/scsi/cdb-layouts.ts'
import type { CdbLayout } from '#main/protocols/scsi/cdb-layouts.ts'
import type { CdbOf } from '#main/protocols/scsi/cdb.ts'
import { hasServiceActions } from '#main/protocols/scsi/cdb.ts'
import { reserveOut } from '#main/protocols/scsi/reservations.ts'
import { senses } from '#main/protocols/scsi/sense.ts'
import { encodeOneOpcode, encodeSupportedOpcodes } from '#main/protocols/scsi/supported-opcodes.ts'
import { answer, refuse } from './outcome.ts'
import type { Plan } from './outcome.ts'

const isDone = (layout: CdbLayout, isThin: boolean): boolean =>
  (layout.kind !== 'unmap' || isThin) &&
  (layout.kind !== 'receive-copy-results' || layout.serviceAction === 0 || layout.serviceAction === 3) &&
  (layout.kind !== 'persistent-reserve-out' || layout.serviceAction !== reserveOut.registerAndMove)

/** REPORT SUPPORTED OPERATION CODES (SPC-4, 6.35). */
export function supportedOpcodes(cdb: CdbOf<'report-supported-opcodes'>, isThin: boolean): Plan {
  const done = cdbLayouts.filter((layout) => isDone(layout, isThin))
  const hasTimeouts = cdb.timeouts === true
  const { requestedOpcode: opcode = 0, requestedServiceAction: action = 0, reporting = 0 } = cdb
  if (reporting === 0) {
    const lines = done.map((layout) => ({
      opcode: layout.opcode,
      cdbLength: layout.length,
      ...(layout.serviceAction === undefined ? {} : { serviceAction: layout.serviceAction }),
    }))
    return answer(encodeSupportedOpcodes(lines, hasTimeouts), cdb.allocationLength)
  }
  // 1: an opcode without service actions; 2: one with; 3: either.
  const hasActions = hasServiceActions(opcode)
  if (reporting > 3 || (reporting === 1 && hasActions) || (reporting === 2 && !hasActions))
    return refuse(senses.invalidFieldInCdb)
  const found = done.find(
    (layout) => layout.opcode === opcode && (!hasActions || layout.serviceAction === action),
  )
  const usage = found === undefined ? undefined : cdbUsage(found)
  return answer(encodeOneOpcode(usage, hasTimeouts), cdb.allocationLength)
}

/** Abort task, abort task set, clear task set, LUN reset, target reset (SPC-4, 6.36). */
export function supportedTaskManagement(cdb: CdbOf<'report-supported-task-management'>): Plan {
  const bytes = new Uint8Array(cdb.extended === true ? 16 : 4)
  bytes[0] = 0x80 | 0x40 | 0x10 | 0x08 | 0x02
  if (cdb.extended === true) bytes[3] = 12
  return answer(bytes, cdb.allocationLength)
}
