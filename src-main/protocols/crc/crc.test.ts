import { Buffer } from 'node:buffer'
import { crc32 as zlibCrc32 } from 'node:zlib'
import { assert, nat, property, uint8Array } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32 } from './crc32.ts'
import { crc32c } from './crc32c.ts'

/** Bit by bit, as the definition reads: slow and without tables. */
function bitwise(polynomial: number, bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1
  }
  return ~crc >>> 0
}

const ascending = Uint8Array.from({ length: 32 }, (_, index) => index)

describe('CRC-32C', () => {
  test.each([
    ['"123456789"', Buffer.from('123456789'), 0xe3069283],
    ['nothing', Buffer.alloc(0), 0],
    // RFC 3720, appendix B.4
    ['32 zero bytes', Buffer.alloc(32), 0x8a9136aa],
    ['32 bytes of ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
    ['32 ascending bytes', ascending, 0x46dd794e],
    ['32 descending bytes', ascending.toReversed(), 0x113fdb5c],
  ])('of %s is the published check value', (_, bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected)
  })

  test('is the bit-by-bit definition, at any alignment in its buffer', () => {
    assert(
      property(uint8Array({ maxLength: 200 }), nat(15), (bytes, shift) => {
        const buffer = new Uint8Array(bytes.length + shift)
        buffer.set(bytes, shift)
        expect(crc32c(buffer.subarray(shift))).toBe(bitwise(0x82f63b78, bytes))
      }),
    )
  })

  test('may be computed in parts, split at every byte', () => {
    const bytes = Buffer.from('the quick brown fox jumps over the lazy dog')
    for (let at = 0; at <= bytes.length; at++)
      expect(crc32c(bytes.subarray(at), crc32c(bytes.subarray(0, at)))).toBe(crc32c(bytes))
  })
})

describe('CRC-32', () => {
  test('has its check value', () => {
    expect(crc32(Buffer.from('123456789'))).toBe(0xcbf43926)
  })

  test('is what zlib computes', () => {
    assert(
      property(uint8Array({ maxLength: 200 }), (bytes) => {
        expect(crc32(bytes)).toBe(zlibCrc32(bytes))
      }),
    )
  })
})
