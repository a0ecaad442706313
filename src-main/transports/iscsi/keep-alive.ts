import type { SessionTiming } from './session-options.ts'

/** Whether the other side is still there: after a quiet time it is asked, after more of it it counts as dead. */
export class KeepAlive {
  readonly #timing: SessionTiming
  #quietMs = 0
  #isPinged = false

  constructor(timing: SessionTiming) {
    this.#timing = timing
  }

  /** @param hasHeard whether anything came in these `elapsedMs` */
  elapse(elapsedMs: number, hasHeard: boolean): 'quiet' | 'ping' | 'dead' {
    const { keepAliveMs, deadMs } = this.#timing
    if (hasHeard) {
      this.#quietMs = 0
      this.#isPinged = false
      return 'quiet'
    }
    this.#quietMs += elapsedMs
    if (this.#quietMs >= keepAliveMs + deadMs && this.#isPinged) return 'dead'
    if (this.#quietMs < keepAliveMs || this.#isPinged) return 'quiet'
    this.#isPinged = true
    return 'ping'
  }
}
