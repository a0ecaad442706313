import type { Sense } from '#main/protocols/scsi/sense.ts'
import { senses } from '#main/protocols/scsi/sense.ts'
import { scsiStatus } from '#main/protocols/scsi/status.ts'
import type { ScsiStatus } from '#main/protocols/scsi/status.ts'

/** How a command ends; `data` goes to the initiator before the status. */
export interface Outcome {
  readonly status: ScsiStatus
  readonly sense?: Sense
  readonly data?: Uint8Array
}

/** What a command needs before it can end. Offsets and lengths in bytes. */
export type Plan =
  | { readonly kind: 'end'; readonly outcome: Outcome }
  /** That region of the LUN goes to the initiator. */
  | {
      readonly kind: 'read'
      readonly offset: number
      readonly lengthBytes: number
      readonly isDurable: boolean
    }
  /** The initiator's data go to that region as they come. */
  | {
      readonly kind: 'write'
      readonly offset: number
      readonly lengthBytes: number
      readonly isDurable: boolean
    }
  /** The initiator's data are collected, then worked on. */
  | {
      readonly kind: 'collect'
      readonly lengthBytes: number
      /** Blocks, of which the initiator sends as many as the command is about; not a list that tells its own length. */
      readonly isExact?: boolean
      readonly run: (data: Uint8Array, isAborted: () => boolean) => Outcome | Promise<Outcome>
    }
  /** It takes its time. */
  | { readonly kind: 'work'; readonly run: (isAborted: () => boolean) => Promise<Outcome> }

export const good: Outcome = { status: scsiStatus.good }
export const conflict: Outcome = { status: scsiStatus.reservationConflict }
export const check = (sense: Sense): Outcome => ({ status: scsiStatus.checkCondition, sense })
export const end = (outcome: Outcome): Plan => ({ kind: 'end', outcome })
export const refuse = (sense: Sense): Plan => end(check(sense))

/** As much of an answer as was asked for. */
export const answer = (data: Uint8Array, allocationLength: number): Plan =>
  end({
    status: scsiStatus.good,
    data: data.length > allocationLength ? data.subarray(0, allocationLength) : data,
  })

/** What an error of the file system is to an initiator. */
export function senseOfError(error: NodeJS.ErrnoException, isWrite: boolean): Sense {
  switch (error.code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return senses.spaceAllocationFailed
    case 'EROFS':
    case 'EBADF':
    case 'EPERM':
      return isWrite ? senses.writeProtected : senses.internalTargetFailure
    default:
      return isWrite ? senses.writeError : senses.unrecoveredReadError
  }
}
