import { AppError, toAppError } from '#shared/errors/app-error.ts'
import { fileError, systemCode } from '#main/transports/local/file-errors.ts'

/** What a volume says in words of its own; everything else is said as of any file. */
const ofVolume: Readonly<Record<string, readonly [AppError['code'], message: string, advice: string]>> = {
  ...same(
    ['ENOSPC', 'EDQUOT'],
    [
      'device-rejected',
      'The volume is full',
      'Delete objects on the volume or make room on its disk, then try again.',
    ],
  ),
  ...same(
    ['ENOENT', 'ENOTDIR'],
    [
      'not-found',
      'It is not there',
      'Check the name, and that the disk of the volume is plugged in and mounted.',
    ],
  ),
  ...same(
    ['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ENOTTY'],
    [
      'not-supported',
      'The file system of the volume cannot share blocks between files',
      'Use a volume on XFS (made with reflink=1), Btrfs or APFS; elsewhere objects are copied in full.',
    ],
  ),
}

function same<T>(codes: readonly string[], meaning: T): Record<string, T> {
  return Object.fromEntries(codes.map((code) => [code, meaning]))
}

/** Whatever a file operation threw, as an AppError about `object`. */
export function translateError(error: unknown, object: string): AppError {
  if (error instanceof AppError) {
    // of a file, where the volume is meant
    const isOfFile = error.code === 'device-rejected' && systemCode(error.cause) !== undefined
    return isOfFile ? translateError(error.cause, object) : error
  }
  if (error instanceof Error && error.name === 'TimeoutError')
    return new AppError('timeout', 'It took too long', { object, effect: 'unknown', cause: error })
  const [code, message, advice] = ofVolume[systemCode(error) ?? ''] ?? []
  if (code === undefined || message === undefined) return toAppError(fileError(error, object))
  return new AppError(code, message, {
    object,
    ...(advice === undefined ? {} : { advice }),
    facts: { 'system says': error instanceof Error ? error.message : String(error) },
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
