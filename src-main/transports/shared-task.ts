/**
 * One run of a task for all who want its result: whoever loses interest leaves, and when the last one has left the
 * task is aborted.
 */
export class SharedTask<T> {
  readonly #controller = new AbortController()
  readonly #result: Promise<T>
  #interested = 0
  #isSettled = false

  constructor(task: (signal: AbortSignal) => Promise<T>) {
    this.#result = task(this.#controller.signal)
    const settle = (): void => {
      this.#isSettled = true
    }
    this.#result.then(settle, settle)
  }

  /** Rejects with the signal's reason when it is aborted first. */
  async join(signal: AbortSignal): Promise<T> {
    signal.throwIfAborted()
    this.#interested += 1
    let leave: () => void = () => undefined
    const left = new Promise<never>((_resolve, reject) => {
      leave = () => reject(signal.reason)
      signal.addEventListener('abort', leave, { once: true })
    })
    try {
      return await Promise.race([this.#result, left])
    } finally {
      signal.removeEventListener('abort', leave)
      this.#interested -= 1
      if (this.#interested === 0 && !this.#isSettled) this.#controller.abort(signal.reason)
    }
  }

  get isSettled(): boolean {
    return this.#isSettled
  }

  /** Aborted: nobody may join any more. */
  get isAborted(): boolean {
    return this.#controller.signal.aborted
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason)
  }
}
