import { AppError } from '#shared/errors/app-error.ts'
import { systemCode } from '../local/file-errors.ts'
import type { Effect, ErrorCode } from '#shared/errors/app-error.ts'

const texts: Readonly<Record<string, readonly [what: string, advice: string]>> = {
  ENOTFOUND: ['is not known to the name service', 'Check the spelling of the host name, or give an address.'],
  EAI_AGAIN: ['cannot be looked up: the name service does not answer', 'Check the name service.'],
  ECONNREFUSED: ['refuses the connection', 'Check that the iSCSI service is running there, and the port.'],
  EHOSTUNREACH: ['cannot be reached: there is no route to it', 'Check the address and the network.'],
  ENETUNREACH: ['cannot be reached: there is no route to its network', 'Check the address and the network.'],
}

/** A TCP connection that did not come about; nothing was sent. */
export function connectError(error: unknown, place: string): AppError {
  const [what, advice] = texts[systemCode(error) ?? ''] ?? [
    'cannot be reached',
    'Check the address, the network and that the array is switched on.',
  ]
  return new AppError('unreachable', `The portal ${place} ${what}`, {
    object: `portal ${place}`,
    advice,
    cause: error,
  })
}

export const unreachable = (
  message: string,
  effect: Effect = 'none',
  code: ErrorCode = 'unreachable',
): AppError =>
  new AppError(code, message, {
    effect,
    advice: 'Check the network and the array; the session is set up again with the next try.',
  })

/** What an aborted signal means. */
export function abortError(signal: AbortSignal | undefined): AppError {
  const reason: unknown = signal?.reason
  if (reason instanceof AppError) return reason
  return reason instanceof Error && reason.name === 'TimeoutError'
    ? new AppError('timeout', 'The time that was given to the operation is over', { cause: reason })
    : new AppError('cancelled', 'The operation was cancelled', { cause: reason })
}
