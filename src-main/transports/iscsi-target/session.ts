import { Buffer } from 'node:buffer'
import { malformed } from '#main/protocols/iscsi/malformed.ts'
import {
  at,
  bit,
  logoutAnswer,
  logoutReason,
  opcode,
  opcodeMask,
  rejectReason,
  reservedTag,
} from '#main/protocols/iscsi/opcodes.ts'
import type { OperationalParameters } from '#main/protocols/iscsi/parameters.ts'
import { decodePduOf, encodePdu } from '#main/protocols/iscsi/pdus.ts'
import { serialBefore, serialNext } from '#main/protocols/iscsi/serial.ts'
import { decodeLun } from '#main/protocols/scsi/luns.ts'
import { encodeFixedSense, senses } from '#main/protocols/scsi/sense.ts'
import { scsiStatus } from '#main/protocols/scsi/status.ts'
import { DataIn } from './data-in.ts'
import { DataOut } from './data-out.ts'
import type { WriteRoom } from './data-out.ts'
import { limits } from './limits.ts'
import type { LogicalUnit } from './logical-unit.ts'
import { planWithoutUnit } from './no-unit.ts'
import type { Nexus } from './nexus.ts'
import { portOf } from './nexus.ts'
import { good, refuse } from './outcome.ts'
import type { Outcome, Plan } from './outcome.ts'
import { manageTasks } from './task-management.ts'
import { Task } from './task.ts'
import type { Burst } from './task.ts'
import { TextExchange } from './text-exchange.ts'
import type { Transmitter } from './transmitter.ts'

/** What a session is told at the end of its login. */
export interface SessionFacts {
  readonly initiator: string
  /** 12 hex digits. */
  readonly isid: string
  readonly parameters: OperationalParameters
  readonly statSn: number
  readonly expCmdSn: number
  /** undefined: a discovery session. */
  readonly served: { readonly unit: LogicalUnit; readonly lun: number; readonly target: string } | undefined
}

export interface SessionHost {
  readonly room: WriteRoom
  /** Names and addresses, as SendTargets has them. */
  describeTargets(initiator: string, target: string | undefined): readonly (readonly [string, string])[]
  /** Logs out everybody from the target of this session, after a cold reset. */
  dropAll(session: Session): void
  trouble(session: Session, error: NodeJS.ErrnoException): void
}

/** How a session uses its connection. */
export interface Line {
  readonly transmitter: Transmitter
  /** Sends what is made, then hangs up. */
  hangUp(): void
  flushSoon(): void
}

/** Less is worked on where it was read to. */
const inboxFromBytes = 32 * 1024
/** Takes data that nobody waits for. */
const scratch = Buffer.allocUnsafeSlow(limits.segmentBytes)

/** The full feature phase of a login: commands in, answers out. One connection; ErrorRecoveryLevel 0. */
export class Session implements Nexus {
  readonly initiator: string
  readonly isid: string
  readonly port: string
  readonly attentions: Nexus['attentions'] = []
  readonly startedAt = new Date()
  readonly transmitter: Transmitter
  readonly served: SessionFacts['served']
  readonly #host: SessionHost
  readonly #line: Line
  readonly #text: TextExchange
  readonly #maxSendBytes: number
  readonly #initialR2T: boolean
  readonly #dataIn: DataIn
  readonly #dataOut: DataOut
  readonly #tasks = new Map<number, Task>()
  /** Answered or aborted, and the file system still works on them. */
  readonly #ending = new Set<Task>()
  /** Of {@link #tasks}, those that count in the command window. */
  #counted = 0
  #statSn: number
  #expCmdSn: number
  #incoming: Burst | undefined
  /** Where large immediate data are read to. */
  #inbox: Buffer | undefined

  constructor(facts: SessionFacts, line: Line, host: SessionHost) {
    const { initiator, isid, parameters, served } = facts
    this.initiator = initiator
    this.isid = isid
    this.port = portOf(initiator, isid)
    this.served = served
    this.transmitter = line.transmitter
    this.#host = host
    this.#line = line
    this.#statSn = facts.statSn
    this.#expCmdSn = facts.expCmdSn
    this.#maxSendBytes = Math.min(parameters.maxSendDataSegmentLength, limits.segmentBytes)
    this.#initialR2T = parameters.initialR2T
    this.#text = new TextExchange(this.#maxSendBytes, (which) =>
      host.describeTargets(initiator, which === '' ? served?.target : which === 'All' ? undefined : which),
    )
    this.#dataIn = new DataIn(this, parameters)
    this.#dataOut = new DataOut(this, parameters, host.room)
    served?.unit.attach(this)
  }

  flushSoon(): void {
    this.#line.flushSoon()
  }
  trouble(error: NodeJS.ErrnoException): void {
    this.#host.trouble(this, error)
  }

  /** A data segment begins. Returns where it goes: what is large is not to be copied or to need new memory. */
  placeOf(
    header: Buffer,
    offset: number,
    dataBytes: number,
  ): { readonly bytes: Buffer; readonly at: number } | undefined {
    const code = (header[offset] ?? 0) & opcodeMask
    if (code === opcode.scsiCommand && dataBytes >= inboxFromBytes) {
      this.#inbox ??= Buffer.allocUnsafeSlow(limits.segmentBytes)
      return { bytes: this.#inbox, at: 0 }
    }
    if (code !== opcode.dataOut) return undefined
    const burst = this.#burstOf(header, offset, dataBytes)
    this.#incoming = burst
    return burst === undefined
      ? { bytes: scratch, at: 0 }
      : { bytes: burst.bytes, at: burst.bytesAt + burst.filled }
  }

  /** A PDU is complete. Throws device-rejected for what the protocol does not allow: hang up then. */
  receive(header: Buffer, offset: number, data: Buffer, dataBytes: number): void {
    switch ((header[offset] ?? 0) & opcodeMask) {
      case opcode.scsiCommand:
        return this.#command(
          header,
          offset,
          dataBytes >= inboxFromBytes && this.#inbox !== undefined
            ? this.#inbox.subarray(0, dataBytes)
            : data,
        )
      case opcode.dataOut: {
        const burst = dataBytes === 0 ? this.#burstOf(header, offset, 0) : this.#incoming
        this.#incoming = undefined
        const isFinal = ((header[offset + at.flags] ?? 0) & bit.final) !== 0
        if (burst !== undefined && !burst.task.isAborted) this.#dataOut.arrived(burst, dataBytes, isFinal)
        return
      }
      case opcode.nopOut:
        return this.#nopOut(header.subarray(offset, offset + 48), data)
      case opcode.taskManagementRequest:
        return this.#taskManagement(header.subarray(offset, offset + 48))
      case opcode.textRequest:
        return this.#textRequest(header.subarray(offset, offset + 48), data)
      case opcode.logoutRequest:
        return this.#logout(header.subarray(offset, offset + 48))
      case opcode.snackRequest:
        return this.#reject(header.subarray(offset, offset + 48), rejectReason.snackReject)
      case opcode.loginRequest:
        throw malformed('opcode', 0, 'no login in a session', opcode.loginRequest)
      default:
        return this.#reject(header.subarray(offset, offset + 48), rejectReason.commandNotSupported)
    }
  }

  /** The initiator has taken something. */
  sent(): void {
    this.#dataIn.goOn()
  }

  /** The connection is gone. Resolves when no command of it touches the file any more. */
  async close(): Promise<void> {
    await this.abortTasks()
    // Only now: who fences this initiator has to find what still writes.
    this.served?.unit.detach(this)
  }

  abortTasks(): Promise<void> {
    return this.#abort([...this.#tasks.values()])
  }

  findTask(tag: number): Task | undefined {
    return this.#tasks.get(tag)
  }
  abortTask(task: Task): Promise<void> {
    return this.#abort([task])
  }

  async #abort(tasks: readonly Task[]): Promise<void> {
    for (const task of tasks) {
      task.isAborted = true
      this.#remove(task)
      this.#dataOut.forget(task)
    }
    await Promise.all([...this.#ending].map((task) => task.idle()))
  }

  stamp(bytes: Buffer, offset: number, hasStatus: boolean): void {
    if (hasStatus) {
      bytes.writeUInt32BE(this.#statSn, offset + at.statSn)
      this.#statSn = serialNext(this.#statSn)
    }
    bytes.writeUInt32BE(this.#expCmdSn, offset + at.expCmdSn)
    bytes.writeUInt32BE(this.#maxCmdSn, offset + at.maxCmdSn)
  }

  /** One before ExpCmdSN when the window is closed. */
  get #maxCmdSn(): number {
    return (this.#expCmdSn + limits.commands - this.#counted - 1) >>> 0
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

  #burstOf(header: Buffer, offset: number, dataBytes: number): Burst | undefined {
    const task = this.#tasks.get(header.readUInt32BE(offset + at.initiatorTaskTag))
    return this.#dataOut.burstOf(header, offset, dataBytes, task)
  }

  #remove(task: Task): void {
    if (this.#tasks.get(task.tag) !== task) return
    this.#tasks.delete(task.tag)
    if (!task.isImmediate) this.#counted--
    if (task.busy === 0) return
    this.#ending.add(task)
    void task.idle().then(() => this.#ending.delete(task))
  }

  /**
   * Takes a request's CmdSN. false: it is outside the window and has to be ignored (RFC 7143, 4.2.2.1). One inside the
   * window but not the next would need another connection to bring what is between: throws.
   */
  #takesNumber(header: Buffer, offset: number): boolean {
    if (((header[offset] ?? 0) & bit.immediate) !== 0) return true
    const cmdSn = header.readUInt32BE(offset + at.cmdSn)
    if (cmdSn !== this.#expCmdSn || this.#counted >= limits.commands) {
      if (serialBefore(cmdSn, this.#expCmdSn) || serialBefore(this.#maxCmdSn, cmdSn)) return false
      throw malformed('CmdSN', at.cmdSn, String(this.#expCmdSn), cmdSn)
    }
    this.#expCmdSn = serialNext(cmdSn)
    return true
  }

  #command(header: Buffer, offset: number, data: Buffer): void {
    if (!this.#takesNumber(header, offset)) return
    const flags = header[offset + at.flags] ?? 0
    const tag = header.readUInt32BE(offset + at.initiatorTaskTag)
    const isImmediate = ((header[offset] ?? 0) & bit.immediate) !== 0
    if (tag === reservedTag || this.#tasks.has(tag) || this.served === undefined)
      return this.#reject(
        header.subarray(offset, offset + 48),
        this.#tasks.has(tag) ? rejectReason.taskInProgress : rejectReason.protocolError,
      )
    if (this.#tasks.size >= 2 * limits.commands)
      return this.#reject(header.subarray(offset, offset + 48), rejectReason.immediateCommandReject)
    const { unit: served, lun } = this.served
    const unit = decodeLun(header, offset + at.lun) === lun ? served : undefined
    const isWrite = (flags & bit.write) !== 0
    const isFinal = (flags & bit.final) !== 0 || !isWrite
    if (!isFinal && this.#initialR2T)
      throw malformed('F bit', at.flags, 'no unasked data (InitialR2T=Yes)', 'some')
    const expectedBytes = header.readUInt32BE(offset + at.expectedDataTransferLength)
    if (data.length > expectedBytes)
      throw malformed('immediate data', at.dataSegmentLength, `at most ${expectedBytes}`, data.length)
    const task = new Task(
      tag,
      { isImmediate, isRead: (flags & bit.read) !== 0, isWrite },
      expectedBytes,
      unit,
    )
    this.#tasks.set(tag, task)
    if (!isImmediate) this.#counted++
    const cdb = header.subarray(offset + at.cdb, offset + at.cdb + 16)
    const plan = unit === undefined ? planWithoutUnit(cdb, lun) : unit.plan(this, cdb)
    this.#start(task, this.#admitted(plan, isWrite ? expectedBytes : 0), data, isFinal)
  }

  /** Data of a length that cannot be meant, or more than there is room for, are not even begun with. */
  #admitted(plan: Plan, outBytes: number): Plan {
    if (plan.kind !== 'write' && plan.kind !== 'collect') return plan
    if (plan.kind === 'collect' && plan.isExact === true && outBytes !== plan.lengthBytes)
      return refuse(senses.invalidFieldInCdb)
    const collects = plan.kind === 'collect' ? plan.lengthBytes : 0
    return this.#dataOut.hasRoom(collects)
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

  #nopOut(header: Buffer, data: Buffer): void {
    if (!this.#takesNumber(header, 0)) return
    const ping = decodePduOf('nopOut', header)
    if (ping.initiatorTaskTag === reservedTag) return
    this.#send(
      encodePdu('nopIn', { lun: ping.lun, initiatorTaskTag: ping.initiatorTaskTag }),
      data.subarray(0, this.#maxSendBytes),
    )
  }

  #taskManagement(header: Buffer): void {
    if (!this.#takesNumber(header, 0)) return
    const request = decodePduOf('taskManagementRequest', header)
    void manageTasks(this, request).then(({ response, dropsSessions }) => {
      this.#send(
        encodePdu('taskManagementResponse', { response, initiatorTaskTag: request.initiatorTaskTag }),
      )
      this.#line.flushSoon()
      if (dropsSessions) this.#host.dropAll(this)
    })
  }

  #textRequest(header: Buffer, data: Buffer): void {
    if (!this.#takesNumber(header, 0)) return
    const request = decodePduOf('textRequest', header)
    const answer = this.#text.answer(request, data)
    this.#send(encodePdu('textResponse', { ...answer.fields, lun: request.lun }), answer.data)
  }

  #logout(header: Buffer): void {
    if (!this.#takesNumber(header, 0)) return
    const { reason, initiatorTaskTag } = decodePduOf('logoutRequest', header)
    const isRecovery = reason === logoutReason.removeForRecovery
    const response = isRecovery ? logoutAnswer.recoveryNotSupported : logoutAnswer.closed
    void this.abortTasks().then(() => {
      this.#send(encodePdu('logoutResponse', { response, initiatorTaskTag }))
      if (isRecovery) this.#line.flushSoon()
      else this.#line.hangUp()
    })
  }

  #reject(header: Buffer, reason: number): void {
    this.#send(encodePdu('reject', { reason }), header)
  }

  #send(header: Buffer, data: Uint8Array = Buffer.alloc(0)): void {
    const offset = this.transmitter.begin(data.length)
    const { bytes } = this.transmitter
    header.copy(bytes, offset)
    this.stamp(bytes, offset, true)
    bytes.set(data, this.transmitter.dataAt(offset))
    this.transmitter.end(data.length)
  }
}
