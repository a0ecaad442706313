import { setTimeout as pause } from 'node:timers/promises'
import { AppError, toAppError } from '#shared/errors/app-error.ts'
import { isSense, senseKey, senses } from '#main/protocols/scsi/sense.ts'
import type { Sense } from '#main/protocols/scsi/sense.ts'
import { scsiStatus } from '#main/protocols/scsi/status.ts'
import { abortError } from './errors.ts'
import { errorOf, readSense, senseError, statusError } from './scsi-errors.ts'
import type { Session } from './session.ts'
import { Task } from './task.ts'

/** One SCSI command as its sender sees it. */
export interface Command {
  /** For messages: "read", "flush". */
  readonly what: string
  readonly cdb: Uint8Array
  readonly into?: Buffer
  readonly out?: Buffer
  /** It changes something: after a loss its effect is unknown and it is not sent again. */
  readonly changes: boolean
  /** Fewer bytes than asked for are an answer (INQUIRY), not a fault (READ). */
  readonly mayBeShort?: boolean
  /** A refusal that is an answer: {@link Commander.run} resolves with its task. */
  readonly accepts?: (sense: Sense) => boolean
  readonly timeoutMs?: number
}

/** Where the sessions come from. */
export interface SessionSource {
  /** What a command may go out on at once. */
  readonly current: Session | undefined
  get(signal?: AbortSignal): Promise<Session>
}

export interface CommanderOptions {
  /** "LUN 1 of iqn...". */
  readonly object: string
  readonly lun: Uint8Array
  readonly sessions: SessionSource
  /** Called when the device tells that something has changed; throws stale when it is another one now. */
  readonly onAttention: (session: Session, sense: Sense, signal: AbortSignal | undefined) => Promise<void>
}

const defaultTimeoutMs = 60_000
const mostAttempts = 12
/** How often what can be repeated is sent again after the connection was lost under it. */
const mostLosses = 2
const firstPauseMs = 10
const longestPauseMs = 1_000
const becomingReady: Sense = { key: senseKey.notReady, asc: 0x04, ascq: 0x01 }

/** Counted over the attempts of one command. */
interface History {
  attempts: number
  losses: number
}

/**
 * Sends commands to one LUN, and again where that is safe: after a unit attention, a busy device, an aborted command,
 * and after a lost connection when they change nothing or were not sent. The rest is told as an AppError.
 */
export class Commander {
  readonly #options: CommanderOptions

  constructor(options: CommanderOptions) {
    this.#options = options
  }

  /** Resolves with a task whose status is GOOD and whose data are complete (or may be short), or that is accepted. */
  run(command: Command, signal?: AbortSignal): Promise<Task> {
    const { current } = this.#options.sessions
    if (current === undefined || signal?.aborted === true)
      return this.#again(command, signal, { attempts: 0, losses: 0 })
    return new Promise((resolve, reject) => {
      this.#submit(current, command, signal, (task) => {
        if (isComplete(task, command)) resolve(task)
        else this.#after(current, task, command, signal, { attempts: 1, losses: 0 }).then(resolve, reject)
      })
    })
  }

  #submit(
    session: Session,
    { cdb, into, out, timeoutMs = defaultTimeoutMs }: Command,
    signal: AbortSignal | undefined,
    onDone: (task: Task) => void,
  ): void {
    const task = new Task({
      lun: this.#options.lun,
      cdb,
      into,
      out,
      timeoutMs,
      onDone: (done) => {
        signal?.removeEventListener('abort', onAbort)
        onDone(done)
      },
    })
    const onAbort = (): void => session.abort(task, abortError(signal))
    signal?.addEventListener('abort', onAbort)
    session.submit(task)
  }

  async #again(command: Command, signal: AbortSignal | undefined, history: History): Promise<Task> {
    const { object, sessions } = this.#options
    let session: Session
    try {
      if (signal?.aborted === true) throw abortError(signal)
      session = await sessions.get(signal)
    } catch (error) {
      throw errorOf(toAppError(error), object)
    }
    const { promise, resolve } = Promise.withResolvers<Task>()
    this.#submit(session, command, signal, resolve)
    const task = await promise
    if (isComplete(task, command)) return task
    return this.#after(session, task, command, signal, { ...history, attempts: history.attempts + 1 })
  }

  /** The task did not end well: sends the command again, or throws. */
  async #after(
    session: Session,
    task: Task,
    command: Command,
    signal: AbortSignal | undefined,
    history: History,
  ): Promise<Task> {
    const { object } = this.#options
    if (task.outcome !== 'status') return this.#afterLoss(session, task, command, signal, history)
    const failure = this.#failureOf(task, command)
    const isRepeated = history.attempts < mostAttempts
    if (task.status === scsiStatus.checkCondition) {
      const sense = readSense(task.sense)
      if (
        sense.key === senseKey.unitAttention ||
        isSense(sense, senses.lunNotSupported) ||
        isSense(sense, senses.lbaOutOfRange)
      ) {
        try {
          await this.#options.onAttention(session, sense, signal)
        } catch (error) {
          throw errorOf(toAppError(error), object)
        }
        if (sense.key === senseKey.unitAttention && isRepeated) return this.#again(command, signal, history)
      } else if (isRepeated && (sense.key === senseKey.abortedCommand || isSense(sense, becomingReady))) {
        return this.#later(command, signal, history)
      }
    } else if (isRepeated && isTransient(task.status)) {
      return this.#later(command, signal, history)
    }
    throw errorOf(failure, object)
  }

  async #afterLoss(
    session: Session,
    task: Task,
    command: Command,
    signal: AbortSignal | undefined,
    history: History,
  ): Promise<Task> {
    if (task.outcome === 'unsent' && task.error === undefined) return this.#again(command, signal, history)
    const error = task.error ?? new AppError('bug', 'A task ended without a reason')
    const isLost = session.error !== undefined && task.outcome !== 'aborted' && signal?.aborted !== true
    const isSafe = task.outcome === 'unsent' || !command.changes
    if (isLost && isSafe && history.losses < mostLosses)
      return this.#again(command, signal, { ...history, losses: history.losses + 1 })
    throw errorOf(
      error,
      this.#options.object,
      command.changes && task.outcome !== 'unsent' ? 'unknown' : 'none',
    )
  }

  async #later(command: Command, signal: AbortSignal | undefined, history: History): Promise<Task> {
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** (history.attempts - 1))
    try {
      await pause(pauseMs, undefined, signal === undefined ? {} : { signal })
    } catch {
      throw errorOf(abortError(signal), this.#options.object)
    }
    return this.#again(command, signal, history)
  }

  #failureOf(task: Task, { what, changes, into, out }: Command): AppError {
    if (task.status === scsiStatus.good)
      return new AppError('device-rejected', `The device left data out (${what})`, {
        effect: changes ? 'unknown' : 'none',
        facts: {
          expectedBytes: String((into ?? out)?.length ?? 0),
          receivedBytes: String(task.received),
          residualBytes: String(task.residual),
        },
      })
    return task.status === scsiStatus.checkCondition
      ? senseError(readSense(task.sense), what, changes)
      : statusError(task.status, what, changes)
  }
}

const isTransient = (status: number): boolean =>
  status === scsiStatus.busy || status === scsiStatus.taskSetFull || status === scsiStatus.taskAborted

function isComplete(task: Task, command: Command): boolean {
  if (task.outcome !== 'status') return false
  if (task.status === scsiStatus.checkCondition) return command.accepts?.(readSense(task.sense)) ?? false
  if (task.status !== scsiStatus.good) return false
  if (command.mayBeShort === true) return true
  if (task.sentBytes < (command.out?.length ?? 0)) return false
  return task.residual === 0 && task.received === (command.into?.length ?? 0)
}
