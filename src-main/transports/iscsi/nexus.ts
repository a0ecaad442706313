import { setTimeout as pause } from 'node:timers/promises'
import { AppError, toAppError } from '#shared/errors/app-error.ts'
import { abortError } from './errors.ts'
import { Session } from './session.ts'
import type { SessionOptions } from './session-options.ts'

export interface NexusOptions extends SessionOptions {
  /** How long a lost session is tried to be set up again before commands fail. */
  readonly reconnectMs?: number
}

const defaultReconnectMs = 30_000
const firstPauseMs = 100
const longestPauseMs = 3_000
/** Trying again does not help. */
const final: ReadonlySet<string> = new Set(['stale', 'auth-failed', 'bad-request', 'not-supported', 'bug'])

/**
 * A session that is set up again when it is lost, under the same name and ISID, so that the target ends what was left
 * of the old one (RFC 7143, section 6.3.5). What was under way is not its business.
 */
export class Nexus {
  readonly #options: NexusOptions
  /** Looks at a new session before it is used: throws stale when it leads to something else than the old one. */
  readonly #verify: (session: Session, signal: AbortSignal) => Promise<void>
  readonly #closing = new AbortController()
  #session: Session | undefined
  #reconnecting: Promise<Session> | undefined
  #checking: Promise<Session> | undefined
  /** How often the session was doubted since it was found right. */
  #doubts = 0
  #losses = 0

  constructor(
    options: NexusOptions,
    session: Session,
    verify: (session: Session, signal: AbortSignal) => Promise<void>,
  ) {
    this.#options = options
    this.#verify = verify
    this.#adopt(session)
  }

  /** undefined while there is none, or none that is known to lead to the right LUN. */
  get current(): Session | undefined {
    return this.#doubts === 0 ? this.#session : undefined
  }

  /** How often a session was lost. */
  get losses(): number {
    return this.#losses
  }

  /** Looks at the session again; no command goes out before it was found right, not even one that waits for its turn. */
  check(session: Session, signal?: AbortSignal): Promise<Session> {
    this.#doubts++
    session.holdBack()
    return this.get(signal)
  }

  /** The session, waiting until there is one again. Throws what the last try ended with, and cancelled. */
  async get(signal?: AbortSignal): Promise<Session> {
    const { current } = this
    if (current !== undefined) return current
    if (this.#closing.signal.aborted) throw new AppError('bad-request', 'The LUN was closed')
    const coming =
      this.#session === undefined
        ? (this.#reconnecting ??= this.#reconnect(0))
        : (this.#checking ??= this.#check(this.#session))
    if (signal === undefined) return coming
    if (signal.aborted) throw abortError(signal)
    const { promise, reject } = Promise.withResolvers<never>()
    const onAbort = (): void => reject(abortError(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await Promise.race([coming, promise])
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#session?.close()
    await Promise.allSettled([this.#reconnecting, this.#checking])
  }

  #adopt(session: Session): void {
    this.#session = session
    this.#doubts = 0
    session.onceClosed(() => {
      this.#session = undefined
      this.#losses++
      if (this.#closing.signal.aborted) return
      this.#reconnecting = this.#reconnect(session.waitMs)
      // Commands that need it tell what went wrong; without any nobody need know.
      this.#reconnecting.catch(() => undefined)
    })
  }

  async #check(session: Session): Promise<Session> {
    try {
      while (this.#doubts > 0) {
        const doubts = this.#doubts
        await this.#verify(session, this.#closing.signal)
        // Another command may have met an attention meanwhile.
        if (this.#doubts === doubts) this.#doubts = 0
      }
      this.#checking = undefined
      return session
    } catch (error) {
      this.#checking = undefined
      if (session.error === undefined) throw error
      return this.get()
    }
  }

  /** @param afterMs what the target wants us to wait first */
  async #reconnect(afterMs: number): Promise<Session> {
    const { signal } = this.#closing
    const { reconnectMs = defaultReconnectMs } = this.#options
    try {
      await pause(afterMs, undefined, { signal })
      const until = performance.now() + reconnectMs
      for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
        try {
          return await this.#openOnce(signal)
        } catch (error) {
          const appError = toAppError(error)
          if (signal.aborted || final.has(appError.code) || performance.now() + pauseMs > until)
            throw appError
        }
        await pause(pauseMs, undefined, { signal })
      }
    } finally {
      this.#reconnecting = undefined
    }
  }

  async #openOnce(signal: AbortSignal): Promise<Session> {
    const session = await Session.open(this.#options, signal)
    try {
      await this.#verify(session, signal)
      if (session.error !== undefined) throw session.error
    } catch (error) {
      await session.close()
      throw error
    }
    this.#adopt(session)
    return session
  }
}
