import { AppError, toAppError } from '#shared/errors/app-error.ts'
import type { ErrorCode } from '#shared/errors/app-error.ts'

interface Meaning {
  readonly code: ErrorCode
  readonly message: string
  readonly advice: string
}

const full: Meaning = {
  code: 'device-rejected',
  message: 'The volume is full',
  advice: 'Delete objects on the volume or make room on its disk, then try again.',
}
const noRight: Meaning = {
  code: 'auth-failed',
  message: 'The user of this console lacks the right for this',
  advice: 'Give the user who runs Gantry the folder of the volume, or choose a folder of that user.',
}
const gone: Meaning = {
  code: 'not-found',
  message: 'It is not there',
  advice: 'Check the name, and that the disk of the volume is plugged in and mounted.',
}
const cannotShare: Meaning = {
  code: 'not-supported',
  message: 'The file system of the volume cannot share blocks between files',
  advice: 'Use a volume on XFS (made with reflink=1), Btrfs or APFS; elsewhere objects are copied in full.',
}

const meanings: Readonly<Record<string, Meaning>> = {
  ENOSPC: full,
  EDQUOT: full,
  EACCES: noRight,
  EPERM: noRight,
  ENOENT: gone,
  ENOTDIR: gone,
  EROFS: {
    code: 'device-rejected',
    message: 'The volume is read-only',
    advice: 'Mount it for writing. A file system also goes read-only by itself after errors of its disk.',
  },
  EIO: {
    code: 'device-rejected',
    message: 'The disk under the volume reports errors',
    advice: 'Look at the log of the operating system and check the disk before anything else.',
  },
  ENOTSUP: cannotShare,
  EOPNOTSUPP: cannotShare,
  ENOSYS: cannotShare,
  ENOTTY: cannotShare,
}

/** The code of an error of the operating system: "ENOENT". */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** Whatever a file operation threw, as an AppError about `object`. */
export function translateError(error: unknown, object: string): AppError {
  if (error instanceof AppError) {
    const isRefused = error.code === 'device-rejected' && meanings[codeOf(error.cause) ?? ''] !== undefined
    return isRefused ? translateError(error.cause, object) : error
  }
  if (error instanceof Error && error.name === 'TimeoutError')
    return new AppError('timeout', 'It took too long', { object, effect: 'unknown', cause: error })
  const meaning = meanings[codeOf(error) ?? '']
  if (meaning === undefined) return toAppError(error)
  return new AppError(meaning.code, meaning.message, {
    object,
    advice: meaning.advice,
    facts: { system: error instanceof Error ? error.message : String(error) },
    cause: error,
  })
}

/** The volume's folder is not there, or is none. */
export const volumeGone = (path: string, object: string): AppError =>
  new AppError('not-found', 'The folder of the volume is not there', {
    object,
    facts: { folder: path },
    advice: 'Plug in and mount its disk, or make the folder; then try again.',
  })

export const taken = (object: string, device: string): AppError =>
  new AppError('busy', 'The name is taken', {
    object,
    facts: { device },
    advice: 'Choose another name, or delete what has this name.',
  })
