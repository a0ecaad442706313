import { AppError } from '#shared/errors/app-error.ts'
import { malformed } from '#main/protocols/iscsi/malformed.ts'
import { at, logoutReason, reservedTag, taskResponse } from '#main/protocols/iscsi/opcodes.ts'
import { decodePduOf, encodePdu } from '#main/protocols/iscsi/pdus.ts'
import { encodeText, TextCollector } from '#main/protocols/iscsi/text.ts'
import type { TextPair } from '#main/protocols/iscsi/text.ts'
import type { Connection } from './connection.ts'
import { unreachable } from './errors.ts'
import type { Sequence } from './sequence.ts'
import type { SessionTiming } from './session-options.ts'
import type { Task } from './task.ts'

const logoutMs = 3000
/** Tags of these requests; those of commands stay below. */
const requestTagBit = 0x40000000
const backlogMaxBytes = 256 * 1024 * 1024
const mostTextPdus = 2000
const noLun = new Uint8Array(8)

interface Request {
  leftMs: number
  readonly onAnswer: (header: Buffer, data: Buffer) => void
  readonly onEnd: (error: AppError) => void
}

/** What a session asks of its target besides SCSI commands; all of it immediate. Each ends by an answer or an error. */
export class Requests {
  readonly #connection: Connection
  readonly #sequence: Sequence
  readonly #timing: SessionTiming
  readonly #pending = new Map<number, Request>()
  #nextTag = 0

  constructor(connection: Connection, sequence: Sequence, timing: SessionTiming) {
    this.#connection = connection
    this.#sequence = sequence
    this.#timing = timing
  }

  async logOut(): Promise<void> {
    const reason = logoutReason.closeSession
    await this.#ask(
      (initiatorTaskTag) =>
        this.#put(encodePdu('logoutRequest', { ...this.#numbers, reason, initiatorTaskTag })),
      logoutMs,
    )
  }

  /** A text request in the full-feature phase (SendTargets), its answer over as many PDUs as it takes. */
  async text(pairs: readonly TextPair[]): Promise<readonly TextPair[]> {
    const collector = new TextCollector()
    let targetTransferTag = reservedTag
    let data = encodeText(pairs)
    for (let count = 0; count < mostTextPdus; count++) {
      const fields = { final: true, targetTransferTag }
      const text = data
      const answer = await this.#ask(
        (initiatorTaskTag) =>
          this.#put(encodePdu('textRequest', { ...this.#numbers, ...fields, initiatorTaskTag }), text),
        this.#timing.connectMs,
      )
      const response = decodePduOf('textResponse', answer.header)
      const found = collector.add(answer.data, response.continues || !response.final)
      if (found !== undefined) return found
      targetTransferTag = response.targetTransferTag
      data = encodeText([])
    }
    throw malformed('text', 0, `an end within ${mostTextPdus} PDUs`, 'none')
  }

  /** Asks the target whether it is there; that anything comes is the answer. */
  ping(): void {
    this.#request((tag) => this.#sendNop(tag, reservedTag, noLun), Infinity, noop, noop)
  }

  /** The target asks whether we are there. */
  answerPing(targetTransferTag: number, lun: Uint8Array): void {
    if (this.#connection.backlogBytes > backlogMaxBytes)
      throw unreachable('The target does not read what we send')
    this.#sendNop(reservedTag, targetTransferTag, lun)
  }

  /** Task management (section 11.5): of one task, or of a LUN. */
  manage(
    taskFunction: number,
    subject: Task | Pick<Task, 'lun'>,
    onAnswer: (response: number) => void,
    onEnd: (error: AppError) => void,
  ): void {
    const reference =
      'itt' in subject
        ? { referencedTaskTag: subject.itt, refCmdSn: subject.cmdSn }
        : { referencedTaskTag: reservedTag }
    const fields = { taskFunction, lun: subject.lun, ...reference }
    this.#request(
      (initiatorTaskTag) =>
        this.#put(encodePdu('taskManagementRequest', { ...this.#numbers, ...fields, initiatorTaskTag })),
      this.#timing.abortMs,
      (header) => onAnswer(decodePduOf('taskManagementResponse', header).response),
      onEnd,
    )
  }

  /** An answer has come. Throws device-rejected when nothing was asked under its tag. */
  answered(header: Buffer, data: Buffer): void {
    const tag = header.readUInt32BE(at.initiatorTaskTag)
    const request = this.#pending.get(tag)
    if (request === undefined)
      throw malformed('initiator task tag', at.initiatorTaskTag, 'that of a request under way', tag)
    this.#pending.delete(tag)
    request.onAnswer(header, data)
  }

  rejected(tag: number, error: AppError): void {
    const request = this.#pending.get(tag)
    this.#pending.delete(tag)
    request?.onEnd(error)
  }

  /** Time goes by. Returns whether one has waited too long. */
  elapse(elapsedMs: number): boolean {
    let isOver = false
    for (const request of this.#pending.values()) {
      request.leftMs -= elapsedMs
      if (request.leftMs < 0) isOver = true
    }
    return isOver
  }

  endAll(error: AppError): void {
    const all = [...this.#pending.values()]
    this.#pending.clear()
    for (const request of all) request.onEnd(error)
  }

  get #numbers() {
    return { immediate: true, cmdSn: this.#sequence.cmdSn, expStatSn: this.#sequence.expStatSn }
  }

  #sendNop(initiatorTaskTag: number, targetTransferTag: number, lun: Uint8Array): void {
    this.#put(encodePdu('nopOut', { ...this.#numbers, lun, initiatorTaskTag, targetTransferTag }))
  }

  #put(header: Uint8Array, data?: Buffer): void {
    const { writer } = this.#connection
    writer.begin(header)
    writer.end(data)
    this.#connection.flushLater()
  }

  #ask(
    send: (tag: number) => void,
    timeoutMs: number,
  ): Promise<{ readonly header: Buffer; readonly data: Buffer }> {
    return new Promise((resolve, reject) => {
      const onAnswer = (header: Buffer, data: Buffer): void =>
        resolve({ header: Buffer.from(header), data: Buffer.from(data) })
      this.#request(send, timeoutMs, onAnswer, reject)
    })
  }

  #request(
    send: (tag: number) => void,
    timeoutMs: number,
    onAnswer: Request['onAnswer'],
    onEnd: Request['onEnd'],
  ): void {
    const { error } = this.#connection
    if (error !== undefined) {
      onEnd(error)
      return
    }
    const tag = requestTagBit + this.#nextTag
    this.#nextTag = (this.#nextTag + 1) % 0x10000
    this.#pending.set(tag, { leftMs: timeoutMs, onAnswer, onEnd })
    send(tag)
  }
}

const noop = (): void => undefined

/** What a refusal of task management means for who asked for a reset. */
export function resetError(response: number): AppError {
  const facts = { taskManagementResponse: String(response) }
  if (response === taskResponse.noSuchLun) return new AppError('not-found', 'There is no such LUN', { facts })
  if (response === taskResponse.notSupported)
    return new AppError('not-supported', 'The target cannot reset a LUN', { facts })
  return new AppError('device-rejected', 'The target refused to reset the LUN', { facts })
}
