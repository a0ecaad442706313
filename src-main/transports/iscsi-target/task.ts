import type { Buffer } from 'node:buffer'
import type { LogicalUnit } from './logical-unit.ts'
import type { Outcome } from './outcome.ts'

/** Data that the initiator was asked for (R2T), or sends unasked behind the command. Offsets in the command's data. */
export interface Burst {
  readonly task: Task
  readonly tag: number
  readonly offset: number
  readonly lengthBytes: number
  readonly bytes: Buffer
  /** Where the burst begins in `bytes`. */
  readonly bytesAt: number
  filled: number
  dataSn: number
}

/** A SCSI command under way. */
export class Task {
  readonly tag: number
  readonly isImmediate: boolean
  readonly isRead: boolean
  readonly isWrite: boolean
  /** What the initiator has room for, or sends. */
  readonly expectedBytes: number
  /** undefined: a LUN under which nothing is served. */
  readonly unit: LogicalUnit | undefined

  isAborted = false
  isDone = false
  /** Calls of the file system that are under way. */
  busy = 0
  readonly #idle: (() => void)[] = []
  /** The first thing that went wrong. */
  failure: Outcome | undefined

  /** What the command is about in all, how much of it goes over the wire, and where in the LUN it begins. */
  transferBytes = 0
  wireBytes = 0
  lunOffset = 0
  isDurable = false

  /** PDUs sent for it: DataSN of Data-In, R2TSN of R2T. */
  pdus = 0
  sentBytes = 0
  /** Of the burst that is being sent. */
  burstBytes = 0

  /** Of its data: arrived, and asked for. */
  arrived = 0
  requested = 0
  bursts = 0
  /** Unasked data are still to come. */
  unsolicited: Burst | undefined
  mayGetUnsolicited = false
  /** Bytes of the session's room for data that it holds. */
  heldBytes = 0
  collected: Buffer | undefined
  run: ((data: Uint8Array, isAborted: () => boolean) => Outcome | Promise<Outcome>) | undefined

  constructor(
    tag: number,
    flags: { readonly isImmediate: boolean; readonly isRead: boolean; readonly isWrite: boolean },
    expectedBytes: number,
    unit: LogicalUnit | undefined,
  ) {
    this.tag = tag
    this.isImmediate = flags.isImmediate
    this.isRead = flags.isRead
    this.isWrite = flags.isWrite
    this.expectedBytes = expectedBytes
    this.unit = unit
  }

  /** A call of the file system has come back. */
  release(): void {
    this.busy--
    if (this.busy === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** Resolves when no call of the file system is under way. */
  idle(): Promise<void> {
    return this.busy === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve))
  }
}
