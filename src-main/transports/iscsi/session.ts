import { AppError } from '#shared/errors/app-error.ts'
import { malformed } from '#main/protocols/iscsi/malformed.ts'
import {
  asyncEvent,
  at,
  bit,
  opcode,
  opcodeMask,
  reservedTag,
  taskFunction,
  taskResponse,
} from '#main/protocols/iscsi/opcodes.ts'
import type { OperationalParameters } from '#main/protocols/iscsi/parameters.ts'
import { decodePduOf, kindOf } from '#main/protocols/iscsi/pdus.ts'
import type { Pdu } from '#main/protocols/iscsi/pdus.ts'
import type { TextPair } from '#main/protocols/iscsi/text.ts'
import type { Connection, ConnectionUser } from './connection.ts'
import { DataOut } from './data-out.ts'
import { unreachable } from './errors.ts'
import { KeepAlive } from './keep-alive.ts'
import { firstCommandSn, logIn } from './log-in.ts'
import type { LoggedIn } from './log-in.ts'
import { Requests, resetError } from './requests.ts'
import { Sequence } from './sequence.ts'
import { defaultTiming } from './session-options.ts'
import type { SessionOptions } from './session-options.ts'
import type { Outcome, Task } from './task.ts'
import { TaskTable } from './task-table.ts'

const defaultDepth = 128
const tickMs = 250
const hex = (value: number): string => `0x${value.toString(16)}`

/**
 * A session in its full-feature phase, on one connection (RFC 7143, ErrorRecoveryLevel 0: any fault of the protocol
 * ends it). Tasks end by their `onDone`, each once, also when the session ends.
 */
export class Session implements ConnectionUser {
  readonly parameters: OperationalParameters

  readonly #connection: Connection
  readonly #dataOut: DataOut
  readonly #tasks: TaskTable
  /** Not sent yet, in order. */
  #queue: Task[] = []
  readonly #sequence: Sequence
  readonly #requests: Requests
  /** Milliseconds that this session was awake; while this computer sleeps no time of the target goes by. */
  #now = 0
  #tickedAt = performance.now()
  readonly #timer: NodeJS.Timeout
  readonly #keepAlive: KeepAlive
  /** The target wants us to leave: nothing new is sent, by this time we go. */
  #leaveBy: number | undefined
  #isLeaving = false
  #waitMs: number
  #closeListeners: ((error: AppError) => void)[] = []

  /** Errors as {@link logIn}. */
  static open(options: SessionOptions, signal: AbortSignal): Promise<Session> {
    return logIn(options, signal, (connection, result) => {
      const session = new Session(options, connection, result)
      connection.use(session)
      return session
    })
  }

  private constructor(options: SessionOptions, connection: Connection, login: LoggedIn) {
    this.#connection = connection
    this.parameters = login.parameters
    this.#waitMs = login.parameters.defaultTime2Wait * 1000
    const timing = { ...defaultTiming, ...options.timing }
    this.#keepAlive = new KeepAlive(timing)
    this.#tasks = new TaskTable(options.depth ?? defaultDepth)
    this.#sequence = new Sequence(firstCommandSn, login)
    this.#requests = new Requests(connection, this.#sequence, timing)
    const digests = { header: login.parameters.headerDigest, data: login.parameters.dataDigest }
    connection.limits.digests = digests
    connection.limits.maxDataBytes = login.parameters.maxRecvDataSegmentLength
    connection.writer.digests = digests
    this.#dataOut = new DataOut(connection.writer, login.parameters)
    this.#timer = setInterval(() => this.#tick(), tickMs)
    this.#timer.unref()
  }

  /** Why it has ended; undefined: it has not. */
  get error(): AppError | undefined {
    return this.#connection.error
  }

  /** How long the target wants us to stay away after the end (Time2Wait). */
  get waitMs(): number {
    return this.#waitMs
  }

  onceClosed(listener: (error: AppError) => void): void {
    if (this.error !== undefined) listener(this.error)
    else this.#closeListeners.push(listener)
  }

  /** Sends it as soon as the target's window and the depth allow, in the order of the calls. */
  submit(task: Task): void {
    if (this.error !== undefined) {
      this.#finish(task, 'unsent', this.error)
      return
    }
    task.deadline = this.#now + task.timeoutMs
    if (this.#queue.length === 0 && this.#maySend()) this.#send(task)
    else this.#queue.push(task)
    this.#connection.flushLater()
  }

  /** Ends what was not sent yet as unsent, without an error: whoever sent it decides whether it still should be. */
  holdBack(): void {
    for (const task of this.#queue.splice(0)) this.#finish(task, 'unsent', undefined)
  }

  /** Ends a task; one that was sent is aborted on the wire first. Done already: nothing. `reason` becomes its error. */
  abort(task: Task, reason: AppError): void {
    if (task.isDone || task.isAborting) return
    if (!task.isSent) {
      this.#queue = this.#queue.filter((other) => other !== task)
      this.#finish(task, 'unsent', reason)
      return
    }
    task.isAborting = true
    this.#requests.manage(
      taskFunction.abortTask,
      task,
      (response) => {
        if (response === taskResponse.complete || response === taskResponse.noSuchTask) {
          if (!task.isDone) this.#finish(task, 'aborted', reason)
        } else this.#fail(malformed('task management', 2, 'an aborted task', response))
      },
      () => undefined,
    )
  }

  /** LOGICAL UNIT RESET; all tasks of the LUN end as aborted. Throws not-found, not-supported, device-rejected, unreachable. */
  resetLun(lun: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAnswer = (response: number): void => {
        if (response !== taskResponse.complete) {
          reject(resetError(response))
          return
        }
        for (const task of this.#tasks.all())
          if (Buffer.compare(task.lun, lun) === 0)
            this.#finish(
              task,
              'aborted',
              new AppError('cancelled', 'The LUN was reset', { effect: 'unknown' }),
            )
        resolve()
      }
      this.#requests.manage(taskFunction.logicalUnitReset, { lun }, onAnswer, reject)
    })
  }

  /** A text request in the full-feature phase (SendTargets). */
  text(pairs: readonly TextPair[]): Promise<readonly TextPair[]> {
    return this.#requests.text(pairs)
  }

  /** Logs out; tasks that are still under way end as lost. Never throws. */
  async close(): Promise<void> {
    if (this.error !== undefined) return
    try {
      await this.#requests.logOut()
    } catch {
      // It is closed either way.
    }
    this.#connection.close(new AppError('cancelled', 'The session was closed'))
  }

  // Received PDUs

  onHeader(header: Buffer, offset: number, _ahsBytes: number, dataBytes: number): boolean {
    if (((header[offset] ?? 0) & opcodeMask) !== opcode.dataIn) return false
    const task = this.#taskOf(header, offset)
    const { into } = task
    const start = header.readUInt32BE(offset + at.bufferOffset)
    // DataPDUInOrder and DataSequenceInOrder are agreed on: what is not next was lost or is not ours.
    if (start !== task.received)
      throw malformed('BufferOffset of Data-In', at.bufferOffset, hex(task.received), start)
    if (into === undefined || start + dataBytes > into.length)
      throw malformed(
        'Data-In',
        at.bufferOffset,
        `at most ${task.into?.length ?? 0} bytes`,
        start + dataBytes,
      )
    const { reader } = this.#connection
    reader.into = into
    reader.intoOffset = start
    return true
  }

  onPdu(header: Buffer, offset: number, _ahsBytes: number, data: Buffer, dataBytes: number): void {
    switch ((header[offset] ?? 0) & opcodeMask) {
      case opcode.dataIn:
        this.#takeDataIn(header, offset, dataBytes)
        break
      case opcode.scsiResponse:
        this.#takeResponse(header, offset, data)
        break
      case opcode.readyToTransfer:
        this.#takeReady(header, offset)
        break
      default:
        this.#takeOther(header.subarray(offset, offset + 48), data)
    }
    this.#sequence.moveWindow(header, offset)
  }

  onTurn(): void {
    this.#pump()
  }

  onClose(error: AppError): void {
    clearInterval(this.#timer)
    const queue = this.#queue
    this.#queue = []
    for (const task of this.#tasks.all()) this.#finish(task, 'lost', error)
    for (const task of queue) this.#finish(task, 'unsent', error)
    this.#requests.endAll(error)
    for (const listener of this.#closeListeners.splice(0)) listener(error)
  }

  #takeDataIn(header: Buffer, offset: number, dataBytes: number): void {
    const task = this.#taskOf(header, offset)
    const dataSn = header.readUInt32BE(offset + at.dataSn)
    if (dataSn !== task.nextDataSn) throw malformed('DataSN', at.dataSn, hex(task.nextDataSn), hex(dataSn))
    task.nextDataSn++
    task.received += dataBytes
    const flags = header[offset + at.flags] ?? 0
    if ((flags & bit.hasStatus) === 0) return
    this.#sequence.takeStatSn(header, offset)
    this.#conclude(task, header, offset, flags)
  }

  #takeResponse(header: Buffer, offset: number, data: Buffer): void {
    const task = this.#taskOf(header, offset)
    this.#sequence.takeStatSn(header, offset)
    const response = header[offset + at.response] ?? 0
    if (response !== 0) {
      const error = new AppError('device-rejected', `The target could not carry out the command`, {
        effect: 'unknown',
        facts: { iscsiResponse: hex(response) },
      })
      this.#finish(task, 'lost', error)
      return
    }
    if (data.length > 2) {
      const length = data.readUInt16BE(0)
      if (length > data.length - 2) throw malformed('SenseLength', 0, `at most ${data.length - 2}`, length)
      task.sense = Buffer.from(data.subarray(2, 2 + length))
    }
    this.#conclude(task, header, offset, header[offset + at.flags] ?? 0)
  }

  #conclude(task: Task, header: Buffer, offset: number, flags: number): void {
    task.status = header[offset + at.status] ?? 0
    if ((flags & (bit.underflow | bit.overflow)) !== 0) {
      task.residual = header.readUInt32BE(offset + at.residualCount)
      task.isUnderflow = (flags & bit.underflow) !== 0
    }
    this.#finish(task, 'status', undefined)
  }

  #takeReady(header: Buffer, offset: number): void {
    const task = this.#taskOf(header, offset)
    const { out } = task
    const start = header.readUInt32BE(offset + at.bufferOffset)
    const lengthBytes = header.readUInt32BE(offset + at.desiredDataTransferLength)
    const r2tSn = header.readUInt32BE(offset + at.dataSn)
    if (out === undefined) throw malformed('R2T', 0, 'a command that writes', 'another')
    if (r2tSn !== task.nextR2tSn) throw malformed('R2TSN', at.dataSn, hex(task.nextR2tSn), hex(r2tSn))
    if (start !== task.sentBytes)
      throw malformed('BufferOffset of R2T', at.bufferOffset, hex(task.sentBytes), hex(start))
    const limit = Math.min(out.length - start, this.parameters.maxBurstLength)
    if (lengthBytes === 0 || lengthBytes > limit)
      throw malformed('DesiredDataTransferLength', at.desiredDataTransferLength, `1 to ${limit}`, lengthBytes)
    task.nextR2tSn++
    this.#dataOut.answer(
      task,
      header.readUInt32BE(offset + at.targetTransferTag),
      lengthBytes,
      this.#sequence.expStatSn,
    )
  }

  #takeOther(header: Buffer, data: Buffer): void {
    const kind = kindOf(header)
    switch (kind) {
      case 'nopIn':
        this.#takeNop(decodePduOf(kind, header), header, data)
        break
      case 'taskManagementResponse':
      case 'textResponse':
      case 'logoutResponse':
        this.#sequence.takeStatSn(header, 0)
        this.#requests.answered(header, data)
        break
      case 'asyncMessage':
        this.#sequence.takeStatSn(header, 0)
        this.#takeAsync(decodePduOf(kind, header))
        break
      case 'reject':
        this.#sequence.takeStatSn(header, 0)
        this.#takeReject(decodePduOf(kind, header), data)
        break
      default:
        throw malformed('opcode', 0, 'one that a target sends', hex((header[0] ?? 0) & opcodeMask))
    }
  }

  #takeNop(nop: Pdu<'nopIn'>, header: Buffer, data: Buffer): void {
    if (nop.initiatorTaskTag !== reservedTag) {
      this.#sequence.takeStatSn(header, 0)
      this.#requests.answered(header, data)
    } else if (nop.targetTransferTag !== reservedTag) {
      this.#requests.answerPing(nop.targetTransferTag, nop.lun)
    }
  }

  #takeAsync({ event, parameter2, parameter3 }: Pdu<'asyncMessage'>): void {
    if (event === asyncEvent.logoutWanted || event === asyncEvent.negotiationWanted)
      this.#leaveBy ??= this.#now + Math.max(1, parameter3) * 1000
    else if (event === asyncEvent.connectionDropped || event === asyncEvent.sessionDropped) {
      this.#waitMs = parameter2 * 1000
      throw unreachable('The target is about to drop the connection')
    }
  }

  #takeReject({ reason }: Pdu<'reject'>, data: Buffer): void {
    const error = new AppError('device-rejected', 'The target rejected a PDU', {
      effect: 'unknown',
      facts: { rejectReason: hex(reason) },
    })
    if (data.length < 48) return
    const tag = data.readUInt32BE(at.initiatorTaskTag)
    const task = this.#tasks.find(tag)
    const kind = kindOf(data)
    if (task !== undefined && (kind === 'scsiCommand' || kind === 'dataOut'))
      this.#finish(task, 'lost', error)
    this.#requests.rejected(tag, error)
  }

  #taskOf(header: Buffer, offset: number): Task {
    const tag = header.readUInt32BE(offset + at.initiatorTaskTag)
    const task = this.#tasks.find(tag)
    if (task === undefined)
      throw malformed('initiator task tag', at.initiatorTaskTag, 'that of a command under way', hex(tag))
    return task
  }

  // Sending

  #maySend(): boolean {
    return this.#leaveBy === undefined && this.#tasks.hasRoom && this.#sequence.isOpen
  }

  #pump(): void {
    if (this.#leaveBy !== undefined && !this.#isLeaving && this.#tasks.count === 0) this.#leave()
    if (this.#queue.length === 0) return
    let sent = 0
    for (; sent < this.#queue.length && this.#maySend(); sent++) {
      const task = this.#queue[sent]
      if (task !== undefined) this.#send(task)
    }
    if (sent > 0) this.#queue.splice(0, sent)
  }

  #send(task: Task): void {
    task.isSent = true
    task.cmdSn = this.#sequence.takeCmdSn()
    this.#tasks.add(task)
    this.#dataOut.command(task, this.#sequence.expStatSn)
  }

  #leave(): void {
    this.#isLeaving = true
    const leave = (): void => this.#fail(unreachable('The target asked for a logout'))
    this.#requests.logOut().then(leave, leave)
  }

  // Ends

  #finish(task: Task, outcome: Outcome, error: AppError | undefined): void {
    if (task.isSent) this.#tasks.remove(task)
    task.isDone = true
    task.outcome = outcome
    task.error = error
    task.onDone(task)
  }

  #fail(error: AppError): void {
    this.#connection.close(error)
  }

  /** Keep-alive and time limits. A tick counts for no more than its own time: our own pauses are not the target's. */
  #tick(): void {
    const elapsedMs = Math.min(performance.now() - this.#tickedAt, 2 * tickMs)
    this.#tickedAt = performance.now()
    this.#now += elapsedMs
    const peer = this.#keepAlive.elapse(elapsedMs, this.#connection.hasHeard)
    this.#connection.hasHeard = false
    if (peer === 'ping') this.#requests.ping()
    if (peer === 'dead') this.#fail(unreachable('The target does not answer any more', 'none', 'timeout'))
    if (this.#requests.elapse(elapsedMs))
      this.#fail(unreachable('The target left a request unanswered', 'none', 'timeout'))
    if (this.#leaveBy !== undefined && this.#leaveBy < this.#now)
      this.#fail(unreachable('The target asked for a logout'))
    this.#checkDeadlines()
  }

  #checkDeadlines(): void {
    for (const list of [this.#tasks.all(), [...this.#queue]])
      for (const task of list)
        if (task.deadline < this.#now)
          this.abort(
            task,
            new AppError('timeout', `The target did not answer a command within ${task.timeoutMs} ms`, {
              effect: task.isSent ? 'unknown' : 'none',
            }),
          )
  }
}
