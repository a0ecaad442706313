import { AppError } from '#shared/errors/app-error.ts'

export const tarBlockBytes = 512

export interface TarHeader {
  readonly name: string
  readonly sizeBytes: number
  /** One character of POSIX ustar: '0' file, '1' and '2' links, '5' directory, 'x' and 'g' pax, 'L' GNU long name. */
  readonly type: string
}

const malformed = (why: string): AppError => new AppError('bad-request', `The archive is damaged: ${why}`)

function textAt(block: Uint8Array, offset: number, lengthBytes: number): string {
  const field = block.subarray(offset, offset + lengthBytes)
  const end = field.indexOf(0)
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end))
}

/** Octal digits, or with the first bit set a big-endian number (GNU, for sizes over 8 GiB). */
function numberAt(block: Uint8Array, offset: number, lengthBytes: number): number {
  const first = block[offset] ?? 0
  if (first === 0x80) {
    let value = 0
    for (const byte of block.subarray(offset + 1, offset + lengthBytes)) value = value * 256 + byte
    if (Number.isSafeInteger(value)) return value
  }
  const digits = textAt(block, offset, lengthBytes).trim()
  if (first < 0x80 && /^[0-7]*$/.test(digits)) return digits === '' ? 0 : parseInt(digits, 8)
  throw malformed(`no number at offset ${offset} of a header`)
}

/**
 * A 512-byte tar header (POSIX.1-2017, pax, ustar interchange format); undefined for a block of zeros, the end.
 *
 *     0 name (100)   124 size (12)   148 checksum (8)   156 type   257 "ustar"   345 prefix of the name (155)
 */
export function decodeTarHeader(block: Uint8Array): TarHeader | undefined {
  if (block.length < tarBlockBytes) throw malformed('it ends in the middle of a header')
  if (block.every((byte) => byte === 0)) return undefined
  const sum = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0)
  if (sum !== numberAt(block, 148, 8)) throw malformed('the checksum of a header is wrong')
  const prefix = textAt(block, 257, 5) === 'ustar' ? textAt(block, 345, 155) : ''
  const name = textAt(block, 0, 100)
  const type = String.fromCharCode(block[156] ?? 0)
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    sizeBytes: numberAt(block, 124, 12),
    type: type === '\0' ? '0' : type,
  }
}

/** Records "27 path=long name.vmdk\n" of a pax header -> what they set for the next entry. */
export function decodePax(bytes: Uint8Array): { name?: string; sizeBytes?: number } {
  const result: { name?: string; sizeBytes?: number } = {}
  let at = 0
  while (at < bytes.length && bytes[at] !== 0) {
    const space = bytes.indexOf(0x20, at)
    const length = Number(new TextDecoder().decode(bytes.subarray(at, space)))
    if (space < 0 || !Number.isInteger(length) || length < 5 || at + length > bytes.length)
      throw malformed('an extended header is not made of records')
    const record = new TextDecoder().decode(bytes.subarray(space + 1, at + length - 1))
    const equals = record.indexOf('=')
    const key = record.slice(0, equals)
    const value = record.slice(equals + 1)
    if (key === 'path') result.name = value
    if (key === 'size') {
      const sizeBytes = Number(value)
      if (!/^\d+$/.test(value) || !Number.isSafeInteger(sizeBytes))
        throw malformed('an extended header has no valid size')
      result.sizeBytes = sizeBytes
    }
    at += length
  }
  return result
}
