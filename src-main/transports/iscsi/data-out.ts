import { at, bit, opcode, reservedTag, taskAttribute } from '#main/protocols/iscsi/opcodes.ts'
import type { OperationalParameters } from '#main/protocols/iscsi/parameters.ts'
import { encodePdu } from '#main/protocols/iscsi/pdus.ts'
import type { PduWriter } from './pdu-writer.ts'
import type { Task } from './task.ts'

const commandTemplate = encodePdu('scsiCommand', {})
const dataTemplate = encodePdu('dataOut', {})

/** Sends commands with their data: at once, unasked and as the target asks for them (RFC 7143, section 4.2.5.2). */
export class DataOut {
  readonly #writer: PduWriter
  readonly #parameters: OperationalParameters

  constructor(writer: PduWriter, parameters: OperationalParameters) {
    this.#writer = writer
    this.#parameters = parameters
  }

  command(task: Task, expStatSn: number): void {
    const writer = this.#writer
    const { into, out } = task
    const { immediateData, initialR2T, firstBurstLength, maxSendDataSegmentLength } = this.#parameters
    const firstBytes = out === undefined ? 0 : Math.min(out.length, firstBurstLength)
    const immediateBytes = immediateData ? Math.min(firstBytes, maxSendDataSegmentLength) : 0
    const unsolicitedBytes = initialR2T ? immediateBytes : firstBytes
    const offset = writer.begin(commandTemplate)
    const { slab } = writer
    slab[offset] = opcode.scsiCommand
    slab[offset + at.flags] =
      (unsolicitedBytes === immediateBytes ? bit.final : 0) |
      (into === undefined ? 0 : bit.read) |
      (out === undefined ? 0 : bit.write) |
      taskAttribute.simple
    slab.set(task.lun, offset + at.lun)
    slab.writeUInt32BE(task.itt, offset + at.initiatorTaskTag)
    slab.writeUInt32BE(task.dataBytes, offset + at.expectedDataTransferLength)
    slab.writeUInt32BE(task.cmdSn, offset + at.cmdSn)
    slab.writeUInt32BE(expStatSn, offset + at.expStatSn)
    slab.set(task.cdb, offset + at.cdb)
    writer.end(out, 0, immediateBytes)
    task.sentBytes = immediateBytes
    if (unsolicitedBytes > immediateBytes)
      this.answer(task, reservedTag, unsolicitedBytes - immediateBytes, expStatSn)
  }

  /** One sequence of Data-Out from where the last one ended; the tag is the target's. */
  answer(task: Task, targetTransferTag: number, lengthBytes: number, expStatSn: number): void {
    const writer = this.#writer
    const { out } = task
    const end = task.sentBytes + lengthBytes
    for (let dataSn = 0; task.sentBytes < end; dataSn++) {
      const from = task.sentBytes
      const to = Math.min(end, from + this.#parameters.maxSendDataSegmentLength)
      const offset = writer.begin(dataTemplate)
      const { slab } = writer
      slab[offset + at.flags] = to === end ? bit.final : 0
      slab.set(task.lun, offset + at.lun)
      slab.writeUInt32BE(task.itt, offset + at.initiatorTaskTag)
      slab.writeUInt32BE(targetTransferTag, offset + at.targetTransferTag)
      slab.writeUInt32BE(expStatSn, offset + at.expStatSn)
      slab.writeUInt32BE(dataSn, offset + at.dataSn)
      slab.writeUInt32BE(from, offset + at.bufferOffset)
      writer.end(out, from, to)
      task.sentBytes = to
    }
  }
}
