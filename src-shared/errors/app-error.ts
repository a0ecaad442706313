/** Closed set: code branches on these and on nothing else. */
export const errorCodes = [
  'bad-request',
  'not-found',
  'busy',
  'unreachable',
  'auth-failed',
  'not-supported',
  'device-rejected',
  'timeout',
  'cancelled',
  'stale',
  'bug',
] as const
export type ErrorCode = (typeof errorCodes)[number]

/** What may have happened on the device: `unknown` after a connection was lost with a request under way. */
export type Effect = 'none' | 'unknown' | 'done'

export interface AppErrorDetails {
  /** What the error is about, in the user's words: "host esx1", "container web". */
  readonly object?: string
  /** What to do about it; replaces the general advice of the code. */
  readonly advice?: string
  readonly effect?: Effect
  /** The device's own words and numbers. Never a secret. */
  readonly facts?: Readonly<Record<string, string>>
  readonly cause?: unknown
}

/** The one error class. `message` says what happened, as a sentence without a full stop. */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly object: string | undefined
  readonly advice: string | undefined
  readonly effect: Effect
  readonly facts: Readonly<Record<string, string>>

  constructor(code: ErrorCode, message: string, details: AppErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'AppError'
    this.code = code
    this.object = details.object
    this.advice = details.advice
    this.effect = details.effect ?? 'none'
    this.facts = details.facts ?? {}
  }
}

/** Any thrown value as an AppError: an abort becomes `cancelled`, anything unknown becomes `bug`. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error
  if (error instanceof Error && error.name === 'AbortError')
    return new AppError('cancelled', 'The operation was cancelled', { cause: error })
  const message = error instanceof Error ? error.message : String(error)
  return new AppError('bug', message, { cause: error })
}
