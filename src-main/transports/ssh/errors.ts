import { AppError } from '#shared/errors/app-error.ts'
import { systemCode } from '../local/file-errors.ts'

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const checkService = 'Check that the SSH service is running there, and the port.'
const checkNetwork = 'Check the address, the network and that the device is switched on.'

const networkTexts: Readonly<Record<string, readonly [what: string, advice: string]>> = {
  ENOTFOUND: ['is not known to the name service', 'Check the spelling of the host name, or give an address.'],
  EAI_AGAIN: [
    'cannot be looked up: the name service does not answer',
    'Check the network and the name service.',
  ],
  ECONNREFUSED: ['refuses the connection', checkService],
  ETIMEDOUT: ['does not answer', checkNetwork],
  EHOSTUNREACH: ['cannot be reached: there is no route to it', checkNetwork],
  ENETUNREACH: ['cannot be reached: there is no route to its network', checkNetwork],
  ECONNRESET: ['closed the connection', checkService],
  EPIPE: ['closed the connection', checkService],
}

/** A TCP connection that did not come about. `place`: "array1 port 22". */
export function connectError(error: unknown, object: string, place: string): AppError {
  const [what, advice] = networkTexts[systemCode(error) ?? ''] ?? ['cannot be reached', checkNetwork]
  return new AppError('unreachable', `${place} ${what}`, { object, advice, cause: error })
}

/** A handshake that did not come to its end; nothing was sent that could change the device. */
export function handshakeError(error: unknown, object: string, place: string): AppError {
  const message = messageOf(error)
  if (/no matching/i.test(message))
    return new AppError('not-supported', `${place} and Gantry have no algorithm in common`, {
      object,
      facts: { reason: message },
      advice:
        'Old devices need old algorithms: allow them for this host in the SSH configuration (KexAlgorithms, ' +
        'HostKeyAlgorithms, Ciphers, MACs with a + before the name).',
      cause: error,
    })
  if (systemCode(error) === 'ECONNRESET' || /lost before handshake|closed/i.test(message))
    return new AppError('unreachable', `${place} closed the connection before SSH was set up`, {
      object,
      advice: 'Check that it is an SSH service, and that it does not limit new connections.',
      cause: error,
    })
  return new AppError('unreachable', `${place} does not speak SSH as expected`, {
    object,
    facts: { reason: message },
    advice: checkService,
    cause: error,
  })
}

/** A connection that was there and is gone. The effect is for whoever sent something over it. */
export const lostError = (object: string, cause: unknown): AppError =>
  new AppError('unreachable', 'The SSH connection was lost', {
    object,
    facts: cause instanceof Error ? { reason: cause.message } : {},
    advice: 'Check the network and the device; the next command connects again.',
    cause,
  })

/** The same error with another effect. */
export function withEffect(error: AppError, effect: AppError['effect']): AppError {
  return new AppError(error.code, error.message, {
    ...(error.object === undefined ? {} : { object: error.object }),
    ...(error.advice === undefined ? {} : { advice: error.advice }),
    facts: error.facts,
    effect,
    cause: error,
  })
}

export const cancelledError = (object: string, effect: AppError['effect'], cause?: unknown): AppError =>
  new AppError('cancelled', 'The command was cancelled', { object, effect, cause })
