import type { Buffer } from 'node:buffer'
import { at, bit, opcode, reservedTag } from '#main/protocols/iscsi/opcodes.ts'
import type { OperationalParameters } from '#main/protocols/iscsi/parameters.ts'
import { limits } from './limits.ts'
import type { LunFile } from './lun-file.ts'
import { check, senseOfError } from './outcome.ts'
import type { Outcome } from './outcome.ts'
import type { Task } from './task.ts'
import type { Transmitter } from './transmitter.ts'

/** What the sending of data needs of its session. */
export interface DataInHost {
  readonly transmitter: Transmitter
  /** StatSN (when the PDU carries a status), ExpCmdSN, MaxCmdSN. */
  stamp(bytes: Buffer, offset: number, hasStatus: boolean): void
  /** The task ends with this PDU, which carries its status. */
  endTask(task: Task): void
  /** The task ends with a response. */
  finish(task: Task, outcome: Outcome): void
  flushSoon(): void
  trouble(error: NodeJS.ErrnoException): void
}

/** Data-In (RFC 7143, 11.7): reads what was asked for and sends it, as fast as the initiator takes it. */
export class DataIn {
  readonly #host: DataInHost
  readonly #segmentBytes: number
  readonly #burstBytes: number
  /** Tasks that wait for the initiator to take what was sent. */
  #waiting: Task[] = []

  constructor(host: DataInHost, parameters: OperationalParameters) {
    this.#host = host
    this.#segmentBytes = Math.min(parameters.maxSendDataSegmentLength, limits.segmentBytes)
    this.#burstBytes = parameters.maxBurstLength
  }

  /** Sends `task.wireBytes` of the file from `task.lunOffset` on, then the status. */
  sendFile(task: Task, file: LunFile): void {
    while (!task.isAborted) {
      if (this.#host.transmitter.unsentBytes >= limits.unsentDataBytes) {
        this.#waiting.push(task)
        return
      }
      const count = this.#nextBytes(task)
      if (!file.isFast) return this.#sendLater(task, file, count)
      const { transmitter } = this.#host
      const offset = transmitter.begin(count)
      try {
        file.readNow(transmitter.bytes, transmitter.dataAt(offset), count, task.lunOffset + task.sentBytes)
      } catch (error) {
        return this.#fail(task, error as NodeJS.ErrnoException)
      }
      const isLast = this.#fillHeader(task, transmitter.bytes, offset, count)
      transmitter.end(count)
      transmitter.flushMuch()
      if (isLast) return this.#host.endTask(task)
    }
  }

  /** Sends bytes, then the status. */
  sendBytes(task: Task, bytes: Uint8Array): void {
    for (;;) {
      const { transmitter } = this.#host
      const count = this.#nextBytes(task)
      const offset = transmitter.begin(count)
      transmitter.bytes.set(
        bytes.subarray(task.sentBytes, task.sentBytes + count),
        transmitter.dataAt(offset),
      )
      const isLast = this.#fillHeader(task, transmitter.bytes, offset, count)
      transmitter.end(count)
      if (isLast) return this.#host.endTask(task)
    }
  }

  /** The initiator has taken something. */
  goOn(): void {
    if (this.#waiting.length === 0 || this.#host.transmitter.unsentBytes >= limits.unsentDataBytes) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const task of waiting) {
      if (task.isAborted) continue
      if (task.unit !== undefined) this.sendFile(task, task.unit.file)
    }
    this.#host.flushSoon()
  }

  #nextBytes(task: Task): number {
    return Math.min(task.wireBytes - task.sentBytes, this.#segmentBytes, this.#burstBytes - task.burstBytes)
  }

  #sendLater(task: Task, file: LunFile, count: number): void {
    const { transmitter } = this.#host
    const bytes = transmitter.memoryFor(count)
    task.busy++
    transmitter.expect(bytes.length)
    file.readLater(bytes, transmitter.dataAt(0), count, task.lunOffset + task.sentBytes, (error) => {
      transmitter.expect(-bytes.length)
      task.release()
      if (!task.isAborted) {
        if (error !== undefined) this.#fail(task, error)
        else {
          const isLast = this.#fillHeader(task, bytes, 0, count)
          transmitter.send(bytes, count)
          if (isLast) this.#host.endTask(task)
          else this.sendFile(task, file)
        }
      }
      this.#host.flushSoon()
    })
  }

  #fail(task: Task, error: NodeJS.ErrnoException): void {
    this.#host.trouble(error)
    this.#host.finish(task, check(senseOfError(error, false)))
  }

  /** Returns whether the PDU carries the status. */
  #fillHeader(task: Task, bytes: Buffer, offset: number, count: number): boolean {
    const start = task.sentBytes
    task.sentBytes += count
    task.burstBytes += count
    const isLast = task.sentBytes === task.wireBytes
    const isBurstEnd = isLast || task.burstBytes === this.#burstBytes
    if (isBurstEnd) task.burstBytes = 0
    bytes[offset] = opcode.dataIn
    let flags = isBurstEnd ? bit.final : 0
    if (isLast) {
      flags |= bit.hasStatus
      const residual = task.expectedBytes - task.transferBytes
      if (residual !== 0) {
        flags |= residual > 0 ? bit.underflow : bit.overflow
        bytes.writeUInt32BE(Math.abs(residual), offset + at.residualCount)
      }
    }
    bytes[offset + at.flags] = flags
    bytes.writeUInt32BE(task.tag, offset + at.initiatorTaskTag)
    bytes.writeUInt32BE(reservedTag, offset + at.targetTransferTag)
    this.#host.stamp(bytes, offset, isLast)
    bytes.writeUInt32BE(task.pdus++, offset + at.dataSn)
    bytes.writeUInt32BE(start, offset + at.bufferOffset)
    return isLast
  }
}
