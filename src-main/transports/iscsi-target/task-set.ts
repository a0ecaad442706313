import { Buffer } from 'node:buffer'
import { malformed } from '#main/protocols/iscsi/malformed.ts'
import { at, bit, opcode, rejectReason, reservedTag } from '#main/protocols/iscsi/opcodes.ts'
import type { OperationalParameters } from '#main/protocols/iscsi/parameters.ts'
import { decodeLun } from '#main/protocols/scsi/luns.ts'
import { encodeFixedSense, senses } from '#main/protocols/scsi/sense.ts'
import { scsiStatus } from '#main/protocols/scsi/status.ts'
import { DataIn } from './data-in.ts'
import type { DataInHost } from './data-in.ts'
import { DataOut } from './data-out.ts'
import type { DataOutHost } from './data-out.ts'
import { limits } from './limits.ts'
import type { LogicalUnit } from './logical-unit.ts'
import type { Nexus } from './nexus.ts'
import { planWithoutUnit } from './no-unit.ts'
import { good, refuse } from './outcome.ts'
import type { Outcome, Plan } from './outcome.ts'
import { Task } from './task.ts'
import type { Burst } from './task.ts'
import type { Transmitter } from './transmitter.ts'
import type { WriteRoom } from './write-room.ts'

/** What the commands need of their session. */
export interface TaskSetHost {
  readonly nexus: Nexus
  readonly served: { readonly unit: LogicalUnit; readonly lun: number }
  readonly transmitter: Transmitter
  readonly room: WriteRoom
  stamp(bytes: Buffer, offset: number, hasStatus: boolean): void
  reject(header: Buffer, reason: number): void
  flushSoon(): void
  trouble(error: NodeJS.ErrnoException): void
}

/** The SCSI commands of a session that are under way, from their PDU to their status. */
export class TaskSet implements DataInHost, DataOutHost {
  readonly transmitter: Transmitter
  readonly #host: TaskSetHost
  readonly #initialR2T: boolean
  /** The most that may come with a command. */
  readonly #immediateBytes: number
  readonly #firstBurstBytes: number
  readonly #dataIn: DataIn
  readonly #dataOut: DataOut
  readonly #tasks = new Map<number, Task>()
  /** Answered or aborted, and the file system still works on them. */
  readonly #ending = new Set<Task>()
  #counted = 0

  constructor(host: TaskSetHost, parameters: OperationalParameters) {
    this.#host = host
    this.transmitter = host.transmitter
    this.#initialR2T = parameters.initialR2T
    this.#firstBurstBytes = parameters.firstBurstLength
    this.#immediateBytes = parameters.immediateData ? parameters.firstBurstLength : 0
    this.#dataIn = new DataIn(this, parameters)
    this.#dataOut = new DataOut(this, parameters, host.room)
  }

  /** Commands that take a place in the window. */
  get counted(): number {
    return this.#counted
  }

  flushSoon(): void {
    this.#host.flushSoon()
  }
  trouble(error: NodeJS.ErrnoException): void {
    this.#host.trouble(error)
  }
  stamp(bytes: Buffer, offset: number, hasStatus: boolean): void {
    this.#host.stamp(bytes, offset, hasStatus)
  }

  /** The initiator has taken something. */
  sent(): void {
    this.#dataIn.goOn()
  }

  find(tag: number): Task | undefined {
    return this.#tasks.get(tag)
  }

  /** Ends commands without a status. Resolves when none of them, and none that had ended before, touches the file. */
  async abort(tasks: readonly Task[] = [...this.#tasks.values()]): Promise<void> {
    for (const task of tasks) {
      task.isAborted = true
      this.#remove(task)
      this.#dataOut.forget(task)
    }
    await Promise.all([...this.#ending].map((task) => task.idle()))
  }

  /** Where a Data-Out belongs; undefined: to nobody (any more). */
  burstOf(header: Buffer, offset: number, dataBytes: number): Burst | undefined {
    const task = this.#tasks.get(header.readUInt32BE(offset + at.initiatorTaskTag))
    return this.#dataOut.burstOf(header, offset, dataBytes, task)
  }

  /** The data of a Data-Out are in the burst's memory. */
  arrived(burst: Burst, dataBytes: number, isFinal: boolean): void {
    if (!burst.task.isAborted) this.#dataOut.arrived(burst, dataBytes, isFinal)
  }

  /**
   * A SCSI Command whose CmdSN was taken. Throws device-rejected for what was not agreed on.
   * @param data that came with it; valid during the call
   */
  begin(header: Buffer, offset: number, data: Buffer): void {
    const flags = header[offset + at.flags] ?? 0
    const tag = header.readUInt32BE(offset + at.initiatorTaskTag)
    const isImmediate = ((header[offset] ?? 0) & bit.immediate) !== 0
    if (tag === reservedTag || this.#tasks.has(tag))
      return this.#host.reject(
        header.subarray(offset, offset + 48),
        this.#tasks.has(tag) ? rejectReason.taskInProgress : rejectReason.protocolError,
      )
    if (this.#tasks.size >= 2 * limits.commands)
      return this.#host.reject(header.subarray(offset, offset + 48), rejectReason.immediateCommandReject)
    const { unit: served, lun } = this.#host.served
    const unit = decodeLun(header, offset + at.lun) === lun ? served : undefined
    const isWrite = (flags & bit.write) !== 0
    const isFinal = (flags & bit.final) !== 0 || !isWrite
    if (!isFinal && this.#initialR2T)
      throw malformed('F bit', at.flags, 'no unasked data (InitialR2T=Yes)', 'some')
    const expectedBytes = header.readUInt32BE(offset + at.expectedDataTransferLength)
    const mostImmediate = Math.min(expectedBytes, isWrite ? this.#immediateBytes : 0)
    if (data.length > mostImmediate)
      throw malformed('immediate data', at.dataSegmentLength, `at most ${mostImmediate}`, data.length)
    const task = new Task(
      tag,
      { isImmediate, isRead: (flags & bit.read) !== 0, isWrite },
      expectedBytes,
      unit,
    )
    this.#tasks.set(tag, task)
    if (!isImmediate) this.#counted++
    const cdb = header.subarray(offset + at.cdb, offset + at.cdb + 16)
    const plan = unit === undefined ? planWithoutUnit(cdb, lun) : unit.plan(this.#host.nexus, cdb)
    const outBytes = isWrite ? expectedBytes : 0
    const unaskedBytes = isFinal ? data.length : Math.min(this.#firstBurstBytes, outBytes)
    this.#start(task, this.#admitted(plan, outBytes, unaskedBytes), data, isFinal)
  }

  /** Data of a length that cannot be meant, or more than there is room for, are not even begun with. */
  #admitted(plan: Plan, outBytes: number, unaskedBytes: number): Plan {
    if (plan.kind !== 'write' && plan.kind !== 'collect') return plan
    if (plan.kind === 'collect' && plan.isExact === true && outBytes !== plan.lengthBytes)
      return refuse(senses.invalidFieldInCdb)
    const collects = plan.kind === 'collect' ? plan.lengthBytes : 0
    return this.#dataOut.hasRoom(collects + unaskedBytes)
      ? plan
      : { kind: 'end', outcome: { status: scsiStatus.taskSetFull } }
  }

  #start(task: Task, plan: Plan, data: Buffer, isFinal: boolean): void {
    const outBytes = task.isWrite ? task.expectedBytes : 0
    switch (plan.kind) {
      case 'read':
        task.transferBytes = plan.lengthBytes
        task.lunOffset = plan.offset
        task.wireBytes = task.isRead ? Math.min(plan.lengthBytes, task.expectedBytes) : 0
        if (isFinal && task.wireBytes > 0 && task.unit !== undefined)
          return this.#dataIn.sendFile(task, task.unit.file)
        task.wireBytes = 0 // what comes with a read is not kept
        return this.#afterUnsolicited(task, data, isFinal, () => good)
      case 'write':
        task.transferBytes = plan.lengthBytes
        task.lunOffset = plan.offset
        // Half a block is not written.
        task.wireBytes = Math.min(plan.lengthBytes, outBytes - (outBytes % 512))
        task.isDurable = plan.isDurable || (task.unit?.isWriteThrough ?? false)
        return this.#dataOut.begin(task, data, isFinal)
      case 'collect':
        task.transferBytes = plan.lengthBytes
        task.wireBytes = Math.min(plan.lengthBytes, outBytes)
        task.run = plan.run
        return this.#dataOut.begin(task, data, isFinal)
      case 'work':
        return this.#afterUnsolicited(task, data, isFinal, (isAborted) => plan.run(isAborted))
      default:
        if (isFinal) return this.finish(task, plan.outcome)
        return this.#afterUnsolicited(task, data, isFinal, () => plan.outcome)
    }
  }

  #afterUnsolicited(
    task: Task,
    data: Buffer,
    isFinal: boolean,
    run: (isAborted: () => boolean) => Outcome | Promise<Outcome>,
  ): void {
    task.run = (_, isAborted) => run(isAborted)
    this.#dataOut.begin(task, data, isFinal)
  }

  /** The task's last PDU has its status. */
  endTask(task: Task): void {
    task.isDone = true
    this.#remove(task)
  }

  /** Sends a SCSI Response; or data with status where the outcome has some. */
  finish(task: Task, outcome: Outcome): void {
    if (task.isDone || task.isAborted) return
    if (outcome.data !== undefined) {
      task.transferBytes = outcome.data.length
      task.wireBytes = task.isRead ? Math.min(outcome.data.length, task.expectedBytes) : 0
      if (task.wireBytes > 0) return this.#dataIn.sendBytes(task, outcome.data)
    }
    const { sense } = outcome
    const senseBytes =
      sense === undefined ? undefined : (task.unit?.encodeSense(sense) ?? encodeFixedSense(sense))
    this.endTask(task)
    this.#dataOut.forget(task)
    const dataBytes = senseBytes === undefined ? 0 : 2 + senseBytes.length
    const offset = this.transmitter.begin(dataBytes)
    const { bytes } = this.transmitter
    bytes[offset] = opcode.scsiResponse
    let flags: number = bit.final
    const moved =
      outcome.status === scsiStatus.good || outcome.status === scsiStatus.conditionMet
        ? task.transferBytes
        : task.isRead
          ? task.sentBytes
          : task.arrived
    const residual = task.expectedBytes - moved
    if (residual !== 0) {
      flags |= residual > 0 ? bit.underflow : bit.overflow
      bytes.writeUInt32BE(Math.abs(residual), offset + at.residualCount)
    }
    bytes[offset + at.flags] = flags
    bytes[offset + at.status] = outcome.status
    bytes.writeUInt32BE(task.tag, offset + at.initiatorTaskTag)
    this.stamp(bytes, offset, true)
    bytes.writeUInt32BE(task.pdus, offset + at.dataSn)
    if (senseBytes !== undefined) {
      const start = this.transmitter.dataAt(offset)
      bytes.writeUInt16BE(senseBytes.length, start)
      bytes.set(senseBytes, start + 2)
    }
    this.transmitter.end(dataBytes)
  }

  #remove(task: Task): void {
    if (this.#tasks.get(task.tag) !== task) return
    this.#tasks.delete(task.tag)
    if (!task.isImmediate) this.#counted--
    if (task.busy === 0) return
    this.#ending.add(task)
    void task.idle().then(() => this.#ending.delete(task))
  }
}
