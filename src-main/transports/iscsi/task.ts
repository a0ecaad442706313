import type { AppError } from '#shared/errors/app-error.ts'
import { noBytes } from '#main/protocols/iscsi/frame.ts'
import { scsiStatus } from '#main/protocols/scsi/status.ts'

/**
 * How a task ended: the device gave its status; it was `aborted` here (the device may have done some of it);
 * `lost` with the connection, or refused by the target, after it was sent; `unsent`: it never left.
 */
export type Outcome = 'status' | 'aborted' | 'lost' | 'unsent'

export interface TaskRequest {
  /** 8 bytes. */
  readonly lun: Uint8Array
  readonly cdb: Uint8Array
  /** Where the data of a read go; all of it is asked for. */
  readonly into?: Buffer | undefined
  /** What a write sends. */
  readonly out?: Buffer | undefined
  readonly timeoutMs: number
  readonly onDone: (task: Task) => void
}

/** One SCSI command on its way. The session owns all fields but the request's until `onDone`. */
export class Task {
  readonly lun: Uint8Array
  readonly cdb: Uint8Array
  readonly into: Buffer | undefined
  readonly out: Buffer | undefined
  readonly timeoutMs: number
  readonly onDone: (task: Task) => void

  outcome: Outcome = 'unsent'
  /** Why it did not come to a status. */
  error: AppError | undefined = undefined
  status: number = scsiStatus.good
  /** Bytes of sense data, empty without. */
  sense: Buffer = noBytes
  /** Bytes of `into` that the device filled. */
  received = 0
  residual = 0
  isUnderflow = false

  isDone = false
  isSent = false
  isAborting = false
  /** Initiator task tag, while sent. */
  itt = 0
  cmdSn = 0
  nextDataSn = 0
  nextR2tSn = 0
  /** Bytes of `out` that were sent. */
  sentBytes = 0
  /** Milliseconds on the session's clock when it is given up. */
  deadline = 0

  constructor({ lun, cdb, into, out, timeoutMs, onDone }: TaskRequest) {
    this.lun = lun
    this.cdb = cdb
    this.into = into
    this.out = out
    this.timeoutMs = timeoutMs
    this.onDone = onDone
  }

  get dataBytes(): number {
    return (this.into ?? this.out ?? noBytes).length
  }
}
