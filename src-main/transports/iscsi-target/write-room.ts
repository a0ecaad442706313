import { limits } from './limits.ts'

/**
 * The memory for data of writes that all sessions share. Who finds none waits for it, the first come first; only one who
 * would be alone gets more than there is.
 */
export class WriteRoom {
  #heldBytes = 0
  readonly #waiting = new Set<() => void>()

  hasRoom(lengthBytes: number): boolean {
    return this.#heldBytes === 0 || this.#heldBytes + lengthBytes <= limits.targetWriteBytes
  }

  hold(lengthBytes: number): void {
    this.#heldBytes += lengthBytes
  }

  release(lengthBytes: number): void {
    this.#heldBytes -= lengthBytes
    for (let left = this.#waiting.size; left > 0 && this.hasRoom(1); left--) {
      const [first] = this.#waiting
      if (first === undefined) return
      this.#waiting.delete(first)
      first()
    }
  }

  /** `wake` is called once, when there is room; it asks again, and waits again behind the others. */
  wait(wake: () => void): void {
    this.#waiting.add(wake)
  }
}
