import { AppError } from '#shared/errors/app-error.ts'

/**
 * Bytes of a device that are not what they should be. A broken table is a state of the device, so the code is
 * device-rejected; what was found where stands in the facts.
 * @param offset of the field, in bytes from the beginning of what was decoded
 */
export function malformed(what: string, offset: number, expected: string, found: string | number): AppError {
  return new AppError('device-rejected', `${what}: expected ${expected}, found ${found}`, {
    facts: { offset: String(offset), expected, found: String(found) },
    advice: 'The partition table on the device is damaged; restore it from its backup copy or stage again.',
  })
}

/** The bytes from `offset` on, or an error that says how many are missing. */
export function slice(bytes: Uint8Array, what: string, offset: number, lengthBytes: number): Uint8Array {
  if (offset + lengthBytes > bytes.length)
    throw malformed(what, offset, `${lengthBytes} bytes`, Math.max(0, bytes.length - offset))
  return bytes.subarray(offset, offset + lengthBytes)
}

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
