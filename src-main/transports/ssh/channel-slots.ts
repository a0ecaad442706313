/** Hands out the right to open a channel, in the order of asking, and never more at once than the limit. */
export class ChannelSlots {
  #limit: number
  #taken = 0
  #waiting: { readonly take: () => void; readonly refuse: (reason: unknown) => void }[] = []
  #closedBy: unknown

  constructor(limit: number) {
    this.#limit = limit
  }

  get taken(): number {
    return this.#taken
  }

  /** The returned function gives the slot back; calling it again does nothing. Rejects with the signal's reason. */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    if (this.#closedBy !== undefined) throw this.#closedBy
    if (this.#taken < this.#limit) this.#taken += 1
    else await this.#queue(signal)
    return this.#giveBack()
  }

  /** The same without waiting, and never the last one: undefined when somebody might have to wait for it. */
  takeSpare(): (() => void) | undefined {
    if (this.#closedBy !== undefined || this.#taken >= this.#limit - 1) return undefined
    this.#taken += 1
    return this.#giveBack()
  }

  get isFull(): boolean {
    return this.#taken >= this.#limit
  }

  /**
   * The device has refused a channel that was asked for while `others` were open or being opened: it allows no more
   * than are there now. False: there were none, so waiting for one of ours to end is no use.
   */
  lowerLimit(others: number): boolean {
    if (others < 1) return false
    this.#limit = Math.min(this.#limit, Math.max(1, this.#taken - 1))
    return true
  }

  /** Refuses all who wait, now and later. */
  close(reason: unknown): void {
    this.#closedBy = reason
    const waiting = this.#waiting
    this.#waiting = []
    for (const { refuse } of waiting) refuse(reason)
  }

  #giveBack(): () => void {
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#taken -= 1
      this.#admit()
    }
  }

  async #queue(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        this.#waiting = this.#waiting.filter((other) => other !== place)
        reject(signal.reason)
      }
      const settle = (act: () => void): void => {
        signal.removeEventListener('abort', leave)
        act()
      }
      const place = { take: () => settle(resolve), refuse: (reason: unknown) => settle(() => reject(reason)) }
      this.#waiting.push(place)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  #admit(): void {
    while (this.#taken < this.#limit) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      this.#taken += 1
      next.take()
    }
  }
}
