import { AppError, type ErrorCode } from '#shared/errors/app-error.ts'

interface Meaning {
  readonly code: ErrorCode
  readonly message: string
  readonly advice?: string
}

const elsewhere = 'or choose another place.'
const gone: Meaning = { code: 'not-found', message: 'It is not there on this computer' }
const noRight: Meaning = {
  code: 'auth-failed',
  message: 'The user who runs Gantry has no right to it',
  advice: `Give that user the right, ${elsewhere}`,
}

const meanings: Readonly<Record<string, Meaning>> = {
  ENOENT: gone,
  ENOTDIR: gone,
  EACCES: noRight,
  EPERM: noRight,
  EBUSY: {
    code: 'busy',
    message: 'It is in use on this computer',
    advice: 'Perhaps it is mounted: end that first.',
  },
  EEXIST: {
    code: 'busy',
    message: 'It is there already',
    advice: 'Choose another name: nothing is written over.',
  },
  ENOSPC: {
    code: 'device-rejected',
    message: 'There is no space left on this computer',
    advice: `Free space there, ${elsewhere}`,
  },
  EDQUOT: {
    code: 'device-rejected',
    message: 'The quota of the user who runs Gantry is used up',
    advice: `Free space there, ${elsewhere}`,
  },
  EFBIG: {
    code: 'device-rejected',
    message: 'The file system there cannot hold so large a file',
    advice: 'Choose a place on another one.',
  },
  EROFS: {
    code: 'device-rejected',
    message: 'The file system there is read-only',
    advice: `Mount it for writing, ${elsewhere} A file system also goes read-only by itself after errors of its disk.`,
  },
  EIO: {
    code: 'device-rejected',
    message: 'The disk there reports errors',
    advice: 'Look at the log of the operating system and check the disk before anything else.',
  },
}

/** The code of an error of the operating system: "ENOENT". */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined
  return /^E(?!RR_)[A-Z0-9_]+$/.test(error.code) ? error.code : undefined
}

/** An error of this computer's file system, about a path or what lies there; anything else as it is. */
export function fileError(error: unknown, object: string): unknown {
  const code = systemCode(error)
  if (error instanceof AppError || !(error instanceof Error) || code === undefined) return error
  const { message, advice, ...meaning } = meanings[code] ?? {
    code: 'device-rejected',
    message: 'This computer refuses to work with it',
  }
  return new AppError(meaning.code, message, {
    object,
    facts: { 'system says': error.message },
    ...(advice === undefined ? {} : { advice }),
    cause: error,
  })
}
