import type { Task } from './task.ts'

const slotBits = 10
const slotMask = (1 << slotBits) - 1
/** Tags stay below 2^30: the session's other requests have tags above. */
const roundMask = (1 << (30 - slotBits)) - 1

/** The tasks under way by their tag: slot, and how often tags were given, so that a late answer finds no other task. */
export class TaskTable {
  readonly #slots: (Task | undefined)[]
  readonly #free: number[]
  #round = 0

  constructor(depth: number) {
    const count = Math.min(depth, slotMask + 1)
    this.#slots = Array.from({ length: count }, () => undefined)
    this.#free = Array.from({ length: count }, (_, index) => count - 1 - index)
  }

  get hasRoom(): boolean {
    return this.#free.length > 0
  }

  get count(): number {
    return this.#slots.length - this.#free.length
  }

  /** Gives the task its tag. There must be room. */
  add(task: Task): void {
    const slot = this.#free.pop() ?? 0
    this.#round = (this.#round + 1) & roundMask
    task.itt = (this.#round << slotBits) | slot
    this.#slots[slot] = task
  }

  find(tag: number): Task | undefined {
    const task = this.#slots[tag & slotMask]
    return task !== undefined && task.itt === tag ? task : undefined
  }

  remove(task: Task): void {
    const slot = task.itt & slotMask
    if (this.#slots[slot] !== task) return
    this.#slots[slot] = undefined
    this.#free.push(slot)
  }

  /** In the order in which they were sent. */
  all(): Task[] {
    return this.#slots.filter((task) => task !== undefined).toSorted((a, b) => (a.cmdSn - b.cmdSn) | 0)
  }
}
