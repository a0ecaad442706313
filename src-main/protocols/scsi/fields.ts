import { AppError } from '#shared/errors/app-error.ts'

/*
 * SCSI writes numbers with the most significant byte first. LBAs and lengths of 64 bits are plain numbers here: from
 * 2^53 on they are not exact, and far beyond the end of any device.
 */

export const u8 = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0
export const u16 = (bytes: Uint8Array, at: number): number => (u8(bytes, at) << 8) | u8(bytes, at + 1)
export const u32 = (bytes: Uint8Array, at: number): number => u16(bytes, at) * 0x10000 + u16(bytes, at + 2)
export const u64 = (bytes: Uint8Array, at: number): number =>
  u32(bytes, at) * 0x1_0000_0000 + u32(bytes, at + 4)

/** Writes the low `length` bytes of a number. */
export function put(bytes: Uint8Array, at: number, length: number, value: number): void {
  let rest = value
  for (let index = at + length - 1; index >= at; index--) {
    bytes[index] = rest % 256
    rest = Math.floor(rest / 256)
  }
}

export const exact = (bytes: Uint8Array, at: number): bigint =>
  (BigInt(u32(bytes, at)) << 32n) | BigInt(u32(bytes, at + 4))

export function putExact(bytes: Uint8Array, at: number, value: bigint): void {
  put(bytes, at, 4, Number((value >> 32n) & 0xffffffffn))
  put(bytes, at + 4, 4, Number(value & 0xffffffffn))
}

/** Latin-1, padded with spaces as SCSI's text fields are; cut when too long. */
export function putText(bytes: Uint8Array, at: number, length: number, text: string): void {
  for (let index = 0; index < length; index++)
    bytes[at + index] = index < text.length ? text.charCodeAt(index) & 0xff : 0x20
}

/** Without the spaces and zeros around it. */
export function textOf(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text.replaceAll(/^[ \0]+|[ \0]+$/g, '')
}

export const hexOf = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

export function bytesOfHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length >> 1)
  for (let index = 0; index < bytes.length; index++)
    bytes[index] = Number.parseInt(hex.slice(index * 2, index * 2 + 2), 16)
  return bytes
}

/** @param offset of the field, in bytes from the beginning of what was decoded */
export function malformed(what: string, offset: number, expected: string, found: string | number): AppError {
  return new AppError('device-rejected', `${what}: expected ${expected}, found ${found}`, {
    facts: { offset: String(offset), expected, found: String(found) },
    advice: 'The other side does not keep to the SCSI standards; see whether a newer firmware does.',
  })
}

/** The bytes from `offset` on, or an error that says how many are missing. */
export function slice(bytes: Uint8Array, what: string, offset: number, lengthBytes: number): Uint8Array {
  if (offset + lengthBytes > bytes.length)
    throw malformed(what, offset, `${lengthBytes} bytes`, Math.max(0, bytes.length - offset))
  return bytes.subarray(offset, offset + lengthBytes)
}
