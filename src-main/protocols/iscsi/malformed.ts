import { AppError } from '#shared/errors/app-error.ts'

/**
 * Bytes of the other side that RFC 7143 does not allow. The session can't go on after it (ErrorRecoveryLevel 0).
 * @param offset of the field, in bytes from the beginning of what was decoded
 */
export function malformed(what: string, offset: number, expected: string, found: string | number): AppError {
  return new AppError('device-rejected', `iSCSI, ${what}: expected ${expected}, found ${found}`, {
    facts: { offset: String(offset), expected, found: String(found) },
    advice: 'The other side does not keep to the iSCSI protocol, or the bytes were changed on the way.',
  })
}
