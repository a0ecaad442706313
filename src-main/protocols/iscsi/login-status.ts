import { AppError } from '#shared/errors/app-error.ts'
import type { ErrorCode } from '#shared/errors/app-error.ts'
import { loginStatus } from './opcodes.ts'

const meanings: Readonly<Record<number, readonly [code: ErrorCode, message: string, advice?: string]>> = {
  [loginStatus.authenticationFailed]: [
    'auth-failed',
    'The target refused the login: authentication failed',
    'Check the CHAP name and secret of this initiator.',
  ],
  [loginStatus.forbidden]: [
    'auth-failed',
    'The target does not admit this initiator',
    'Map the LUN to the name of this initiator on the array.',
  ],
  [loginStatus.notFound]: [
    'not-found',
    'There is no such target at this portal',
    'Check the name of the target and the address of the portal.',
  ],
  [loginStatus.targetRemoved]: ['not-found', 'The target was removed'],
  [loginStatus.unsupportedVersion]: ['not-supported', 'The target speaks no version of iSCSI that we know'],
  [loginStatus.tooManyConnections]: ['busy', 'The target has too many connections'],
  [loginStatus.sessionTypeNotSupported]: ['not-supported', 'The target does not know this kind of session'],
  [loginStatus.serviceUnavailable]: ['busy', 'The target does not serve at the moment'],
  [loginStatus.outOfResources]: ['busy', 'The target has no resources left for a session'],
}

/** What the status of a Login Response means (RFC 7143, section 11.13.5). Nothing was done on the device. */
export function loginFailure(status: number): AppError {
  const [code, message, advice] = meanings[status] ?? ['device-rejected', 'The target refused the login']
  return new AppError(code, message, {
    facts: { loginStatus: `0x${status.toString(16).padStart(4, '0')}` },
    ...(advice === undefined ? {} : { advice }),
  })
}
