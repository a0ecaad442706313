import { Buffer } from 'node:buffer'
import { malformed } from './malformed.ts'

export type TextPair = readonly [key: string, value: string]

const keyPattern = /^[A-Z][A-Za-z0-9.+@_-]{0,62}$/
/** What a value may hold beyond what the standard-label rules allow is for its key to judge; NUL and control bytes never. */
// eslint-disable-next-line no-control-regex
const valuePattern = /^[^\u0000-\u001f\u007f]*$/
/** A bound of this side: all the text of one request or answer, over its PDUs (a SendTargets answer is the longest). */
export const textMaxBytes = 1024 * 1024

/** Text keys of RFC 7143, section 6: `key=value`, each ended by a zero byte, UTF-8. */
export function encodeText(pairs: readonly TextPair[]): Buffer<ArrayBuffer> {
  return Buffer.from(pairs.map(([key, value]) => `${key}=${value}\0`).join(''), 'utf8')
}

/** In the order of the wire. Throws device-rejected with the offset for what is no key, no value, or not ended. */
export function decodeText(bytes: Uint8Array): TextPair[] {
  const pairs: TextPair[] = []
  for (let offset = 0; offset < bytes.length;) {
    const end = bytes.indexOf(0, offset)
    if (end < 0) throw malformed('text', offset, 'a zero byte at the end of each pair', 'none')
    // Some send more than one zero byte after a pair, or pad with them.
    if (end > offset) {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset + offset, end - offset).toString('utf8')
      const equals = text.indexOf('=')
      const key = text.slice(0, Math.max(0, equals))
      if (equals < 1 || !keyPattern.test(key))
        throw malformed('text', offset, 'a key and "="', printable(text))
      const value = text.slice(equals + 1)
      if (!valuePattern.test(value) || value.includes('\ufffd'))
        throw malformed(`value of ${key}`, offset + equals + 1, 'UTF-8 without control characters', 'others')
      pairs.push([key, value])
    }
    offset = end + 1
  }
  return pairs
}

/** Found text as an error may show it; a key's value may be a secret's digest. */
const printable = (text: string): string => JSON.stringify(text.slice(0, 24).replace(/=.*/, '=...'))

/** Puts text together that goes on over several PDUs (the C bit); a pair may be split anywhere. */
export class TextCollector {
  #parts: Buffer[] = []
  #bytes = 0
  readonly #maxBytes: number

  constructor(maxBytes = textMaxBytes) {
    this.#maxBytes = maxBytes
  }

  /** The pairs once the last part is there, undefined before. Throws device-rejected over the limit. */
  add(data: Uint8Array, continues: boolean): TextPair[] | undefined {
    this.#bytes += data.length
    if (this.#bytes > this.#maxBytes)
      throw malformed('text', 0, `at most ${this.#maxBytes} bytes`, this.#bytes)
    this.#parts.push(Buffer.from(data))
    if (continues) return undefined
    const whole = Buffer.concat(this.#parts)
    this.#parts = []
    this.#bytes = 0
    return decodeText(whole)
  }
}

/** Text in pieces that fit the data segments of the other side; one empty piece for no text. */
export function splitText(text: Buffer, maxDataBytes: number): Buffer[] {
  const pieces: Buffer[] = []
  for (let offset = 0; offset < text.length; offset += maxDataBytes)
    pieces.push(text.subarray(offset, offset + maxDataBytes))
  return pieces.length > 0 ? pieces : [text]
}

/** A numerical value (section 6.1): decimal or 0x; at most 64 bits, given exactly below 2^53. undefined: none. */
export function parseNumber(value: string): number | undefined {
  if (!/^(?:0|[1-9]\d{0,15}|0[xX][0-9a-fA-F]{1,13})$/.test(value)) return undefined
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : undefined
}

/** A binary value (section 6.1): 0x and hex digits, or 0b and base64. undefined: neither, or over `maxBytes`. */
export function parseBinary(value: string, maxBytes: number): Buffer | undefined {
  const digits = value.slice(2)
  if (/^0[xX](?:[0-9a-fA-F])+$/.test(value)) {
    if (digits.length > 2 * maxBytes) return undefined
    return Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex')
  }
  if (!/^0[bB][A-Za-z0-9+/]+={0,2}$/.test(value) || digits.length > Math.ceil(maxBytes / 3) * 4)
    return undefined
  const bytes = Buffer.from(digits, 'base64')
  return bytes.length > 0 && bytes.length <= maxBytes ? bytes : undefined
}

export const formatBinary = (bytes: Uint8Array): string => `0x${Buffer.from(bytes).toString('hex')}`
