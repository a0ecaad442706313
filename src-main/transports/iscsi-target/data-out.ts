import { Buffer } from 'node:buffer'
import { at, bit, opcode, reservedTag } from '#main/protocols/iscsi/opcodes.ts'
import type { OperationalParameters } from '#main/protocols/iscsi/parameters.ts'
import { senses } from '#main/protocols/scsi/sense.ts'
import { limits } from './limits.ts'
import { check, good, senseOfError } from './outcome.ts'
import type { Outcome } from './outcome.ts'
import type { Burst, Task } from './task.ts'
import type { Transmitter } from './transmitter.ts'
import type { WriteRoom } from './write-room.ts'

const pooledBytes = 64 * 1024
/** Takes data that nobody waits for. */
export const scratch = Buffer.allocUnsafeSlow(limits.segmentBytes)

/** What the taking of data needs of its session. */
export interface DataOutHost {
  readonly transmitter: Transmitter
  stamp(bytes: Buffer, offset: number, hasStatus: boolean): void
  finish(task: Task, outcome: Outcome): void
  flushSoon(): void
  trouble(error: NodeJS.ErrnoException): void
}

/**
 * R2T and Data-Out (RFC 7143, 11.7 and 11.8): takes a command's data, the unasked and the asked for, and writes or
 * collects them. Data are asked for only when there is room for them.
 */
export class DataOut {
  readonly #host: DataOutHost
  readonly #parameters: OperationalParameters
  readonly #room: WriteRoom
  readonly #bursts = new Map<number, Burst>()
  #heldBytes = 0
  #nextTag = 1
  /** Tasks that wait for room, the oldest first. */
  readonly #waiting: Task[] = []
  readonly #wake = (): void => {
    this.#serveWaiting()
    this.#host.flushSoon()
  }
  /** Buffers of whole bursts, to be used again. */
  readonly #spare: Buffer[] = []

  constructor(host: DataOutHost, parameters: OperationalParameters, room: WriteRoom) {
    this.#host = host
    this.#parameters = parameters
    this.#room = room
  }

  /** Whether so much may be held besides what is. */
  hasRoom(lengthBytes: number): boolean {
    return (
      (this.#heldBytes === 0 || this.#heldBytes + lengthBytes <= limits.sessionWriteBytes) &&
      this.#room.hasRoom(lengthBytes)
    )
  }

  /**
   * Begins with the data of a command.
   * @param data that came with it; valid during the call
   */
  begin(task: Task, data: Buffer, isFinal: boolean): void {
    if (task.run !== undefined) {
      task.collected = Buffer.allocUnsafe(0)
      if (task.wireBytes > 0) {
        this.#hold(task, task.wireBytes)
        task.collected = Buffer.allocUnsafe(task.wireBytes)
      }
    }
    const count = Math.min(data.length, task.wireBytes)
    task.requested = count
    if (count > 0) this.#take(task, data, 0, count, 0)
    task.arrived = count
    if (isFinal) return this.#advance(task)
    const most = Math.min(this.#parameters.firstBurstLength, task.expectedBytes) - data.length
    this.expectUnsolicited(task, data.length, most)
  }

  /** Data that come unasked behind the command. What goes beyond the command's own is dropped, all of it where it has none. */
  expectUnsolicited(task: Task, offset: number, lengthBytes: number): void {
    const size = Math.max(0, lengthBytes)
    const isDropped = task.wireBytes <= offset
    if (!isDropped) this.#hold(task, size)
    task.unsolicited = {
      task,
      tag: reservedTag,
      offset,
      lengthBytes: size,
      bytes: isDropped ? scratch : this.#buffer(size),
      bytesAt: 0,
      filled: 0,
      dataSn: 0,
    }
  }

  /**
   * A Data-Out has begun. undefined: nobody waits for it (any more). One that is out of order, or more than was asked
   * for, ends its command: the rest of what comes for it is dropped.
   */
  burstOf(header: Buffer, offset: number, dataBytes: number, task: Task | undefined): Burst | undefined {
    const tag = header.readUInt32BE(offset + at.targetTransferTag)
    const burst = tag === reservedTag ? task?.unsolicited : this.#bursts.get(tag)
    if (burst === undefined || burst.task !== task) return undefined
    const end = burst.filled + dataBytes
    const isFinal = ((header[offset + at.flags] ?? 0) & bit.final) !== 0
    // Unasked data may be less than the first burst allows.
    const isWhole = tag === reservedTag || isFinal === (end === burst.lengthBytes)
    if (
      header.readUInt32BE(offset + at.dataSn) === burst.dataSn &&
      header.readUInt32BE(offset + at.bufferOffset) === burst.offset + burst.filled &&
      end <= burst.lengthBytes &&
      isWhole
    )
      return burst
    this.#host.finish(task, check(senses.dataPhaseError))
    return undefined
  }

  /** The data of a Data-Out are in the burst's memory. */
  arrived(burst: Burst, dataBytes: number, isFinal: boolean): void {
    burst.filled += dataBytes
    burst.dataSn++
    const { task } = burst
    if (burst.tag === reservedTag) {
      if (!isFinal) return
      task.unsolicited = undefined
      const count = Math.min(burst.filled, Math.max(0, task.wireBytes - burst.offset))
      task.requested = burst.offset + count
      task.arrived = task.requested
      const then = (): void => {
        this.#reuse(burst.bytes)
        this.#release(task, burst.lengthBytes)
      }
      if (count > 0) this.#take(task, burst.bytes, 0, count, burst.offset, then)
      else if (burst.bytes !== scratch) then()
      return this.#advance(task)
    }
    if (!isFinal) return
    this.#bursts.delete(burst.tag)
    task.bursts--
    task.arrived += burst.lengthBytes
    if (task.collected === undefined)
      this.#take(task, burst.bytes, 0, burst.lengthBytes, burst.offset, () => {
        this.#reuse(burst.bytes)
        this.#release(task, burst.lengthBytes)
      })
    this.#advance(task)
  }

  /** The task is gone; what is still to come for it is dropped. */
  forget(task: Task): void {
    for (const [tag, burst] of this.#bursts) if (burst.task === task) this.#bursts.delete(tag)
    task.unsolicited = undefined
    const index = this.#waiting.indexOf(task)
    if (index >= 0) this.#waiting.splice(index, 1)
    if (task.busy === 0) this.#release(task, task.heldBytes)
    else void task.idle().then(() => this.#release(task, task.heldBytes))
  }

  /** Puts data where they belong. `then` is called when their memory is free again. */
  #take(task: Task, data: Buffer, from: number, count: number, offset: number, then?: () => void): void {
    if (task.collected !== undefined) {
      data.copy(task.collected, offset, from, from + count)
      return then?.()
    }
    const file = task.unit?.file
    if (file === undefined || task.failure !== undefined) return then?.()
    if (file.mayWriteNow) {
      try {
        file.writeNow(data, from, count, task.lunOffset + offset)
      } catch (error) {
        this.#fail(task, error as NodeJS.ErrnoException)
      }
      return then?.()
    }
    // Without `then` the memory is only lent for the call.
    const kept = then === undefined ? Buffer.from(data.subarray(from, from + count)) : data
    if (then === undefined) this.#hold(task, count)
    task.busy++
    file.writeLater(kept, then === undefined ? 0 : from, count, task.lunOffset + offset, (error) => {
      if (error !== undefined) this.#fail(task, error)
      if (then === undefined) this.#release(task, count)
      else then()
      task.release()
      if (!task.isAborted) this.#advance(task)
      this.#host.flushSoon()
    })
  }

  #fail(task: Task, error: NodeJS.ErrnoException): void {
    this.#host.trouble(error)
    task.failure ??= check(senseOfError(error, true))
  }

  /** Asks for more, or ends the command. */
  #advance(task: Task): void {
    if (task.isAborted || task.isDone || task.unsolicited !== undefined) return
    if (task.requested < task.wireBytes && task.failure === undefined) return this.#request(task)
    if (task.bursts > 0 || task.busy > 0) return
    this.#complete(task)
  }

  #request(task: Task): void {
    const { maxOutstandingR2T, maxBurstLength } = this.#parameters
    while (task.requested < task.wireBytes && task.bursts < maxOutstandingR2T) {
      const lengthBytes = Math.min(maxBurstLength, task.wireBytes - task.requested)
      if (task.collected === undefined) {
        if (!this.hasRoom(lengthBytes)) {
          if (!this.#waiting.includes(task)) this.#waiting.push(task)
          if (!this.#room.hasRoom(lengthBytes)) this.#room.wait(this.#wake)
          return
        }
        this.#hold(task, lengthBytes)
      }
      this.#sendR2t(task, lengthBytes)
    }
  }

  #sendR2t(task: Task, lengthBytes: number): void {
    const tag = this.#nextTag
    this.#nextTag = tag >= 0xfffffffe ? 1 : tag + 1
    const offset = task.requested
    const burst: Burst = {
      task,
      tag,
      offset,
      lengthBytes,
      bytes: task.collected ?? this.#buffer(lengthBytes),
      bytesAt: task.collected === undefined ? 0 : offset,
      filled: 0,
      dataSn: 0,
    }
    this.#bursts.set(tag, burst)
    task.bursts++
    task.requested += lengthBytes
    const { transmitter } = this.#host
    const place = transmitter.begin(0)
    const { bytes } = transmitter
    bytes[place] = opcode.readyToTransfer
    bytes[place + at.flags] = bit.final
    bytes.writeUInt32BE(task.tag, place + at.initiatorTaskTag)
    bytes.writeUInt32BE(tag, place + at.targetTransferTag)
    this.#host.stamp(bytes, place, false)
    bytes.writeUInt32BE(task.pdus++, place + at.dataSn)
    bytes.writeUInt32BE(offset, place + at.bufferOffset)
    bytes.writeUInt32BE(lengthBytes, place + at.desiredDataTransferLength)
    transmitter.end(0)
  }

  #complete(task: Task): void {
    if (task.failure !== undefined) return this.#host.finish(task, task.failure)
    if (task.run !== undefined) return this.#runCollected(task)
    if (!task.isDurable) return this.#host.finish(task, good)
    const file = task.unit?.file
    task.busy++
    file?.flush((error) => {
      if (error !== undefined) this.#fail(task, error)
      task.release()
      if (!task.isAborted) this.#host.finish(task, task.failure ?? good)
      this.#host.flushSoon()
    })
  }

  #runCollected(task: Task): void {
    const outcome = task.run?.(task.collected ?? Buffer.alloc(0), () => task.isAborted)
    if (outcome === undefined || !(outcome instanceof Promise))
      return this.#host.finish(task, outcome ?? good)
    task.busy++
    void outcome.then((result) => {
      task.release()
      if (!task.isAborted) this.#host.finish(task, result)
      this.#host.flushSoon()
    })
  }

  #hold(task: Task, lengthBytes: number): void {
    task.heldBytes += lengthBytes
    this.#heldBytes += lengthBytes
    this.#room.hold(lengthBytes)
  }

  #release(task: Task, lengthBytes: number): void {
    const count = Math.min(lengthBytes, task.heldBytes)
    if (count === 0) return
    task.heldBytes -= count
    this.#heldBytes -= count
    // Others that have waited for room come first.
    this.#room.release(count)
    this.#serveWaiting()
  }

  #serveWaiting(): void {
    for (const task of this.#waiting.splice(0)) this.#advance(task)
  }

  /** Memory for a burst, perhaps with more room than it needs: large memory costs more to get than to fill. */
  #buffer(lengthBytes: number): Buffer {
    if (lengthBytes < pooledBytes) return Buffer.allocUnsafe(lengthBytes)
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#parameters.maxBurstLength)
  }

  #reuse(bytes: Buffer): void {
    const { maxBurstLength } = this.#parameters
    if (bytes.length === maxBurstLength && this.#spare.length * maxBurstLength < limits.spareBytes)
      this.#spare.push(bytes)
  }
}
