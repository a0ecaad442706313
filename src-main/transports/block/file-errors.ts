import { AppError, type ErrorCode } from '#shared/errors/app-error.ts'

const codes: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'not-found',
  ENOTDIR: 'not-found',
  EACCES: 'auth-failed',
  EPERM: 'auth-failed',
  EBUSY: 'busy',
  EEXIST: 'busy',
}

/** An error of this computer's file system about `path`; anything else as it is. */
export function fileError(error: unknown, path: string, what: string): unknown {
  if (error instanceof AppError || !(error instanceof Error)) return error
  const code = (error as NodeJS.ErrnoException).code
  if (code === undefined || error.name === 'AbortError') return error
  return new AppError(codes[code] ?? 'device-rejected', `"${path}" ${what}`, {
    object: path,
    facts: { 'system says': error.message },
    cause: error,
    ...(code === 'EBUSY' ? { advice: 'It is in use, perhaps mounted: end that first.' } : {}),
    ...(code === 'EEXIST' ? { advice: 'Choose another name: nothing is written over.' } : {}),
  })
}
