import { AppError } from '#shared/errors/app-error.ts'

/**
 * A GUID on the disk (UEFI 2.10, appendix A): time-low, time-mid and time-high little endian, the rest as written.
 *
 *     text   00112233-4455-6677-8899-aabbccddeeff
 *     bytes  33 22 11 00  55 44  77 66  88 99  aa bb cc dd ee ff
 */
const byteOrder = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const

const dashed = (hex: string): string =>
  [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')

const hexOf = (bytes: Iterable<number>): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

/** 16 bytes of a disk -> lower-case text. */
export function formatGuid(bytes: Uint8Array): string {
  if (bytes.length !== 16) throw new AppError('bug', `A GUID has 16 bytes, not ${bytes.length}`)
  return dashed(hexOf(byteOrder.map((index) => bytes[index] ?? 0)))
}

/** Text in either case -> 16 bytes as on a disk. Throws bad-request. */
export function parseGuid(text: string): Uint8Array {
  const raw = parseUuid(text)
  return Uint8Array.from(byteOrder, (index) => raw[index] ?? 0)
}

/** 16 bytes in the order of the text (RFC 9562) -> lower-case text. */
export function formatUuid(bytes: Uint8Array): string {
  if (bytes.length !== 16) throw new AppError('bug', `A UUID has 16 bytes, not ${bytes.length}`)
  return dashed(hexOf(bytes))
}

/** Text in either case -> 16 bytes in the order of the text (RFC 9562). Throws bad-request. */
export function parseUuid(text: string): Uint8Array {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text))
    throw new AppError('bad-request', `"${text}" is not a UUID`)
  const hex = text.replaceAll('-', '')
  return Uint8Array.from({ length: 16 }, (_, index) =>
    Number.parseInt(hex.slice(index * 2, index * 2 + 2), 16),
  )
}
