import { assert, property, uint8Array } from 'fast-check'
import { expect, test } from 'vitest'
import { formatGuid, formatUuid, parseGuid, parseUuid } from './guid.ts'

const text = '00112233-4455-6677-8899-aabbccddeeff'

test('a GUID has its first three fields little endian on the disk', () => {
  const bytes = Uint8Array.of(
    0x33,
    0x22,
    0x11,
    0,
    0x55,
    0x44,
    0x77,
    0x66,
    0x88,
    0x99,
    0xaa,
    0xbb,
    0xcc,
    0xdd,
    0xee,
    0xff,
  )
  expect(parseGuid(text.toUpperCase())).toEqual(bytes)
  expect(formatGuid(bytes)).toBe(text)
})

test('a UUID stands in the order of its text', () => {
  expect([...parseUuid(text)].map((byte) => byte % 17)).toEqual(Array.from({ length: 16 }, () => 0))
  expect(formatUuid(parseUuid(text))).toBe(text)
})

test('any 16 bytes survive the way to text and back', () => {
  assert(
    property(uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      expect(parseGuid(formatGuid(bytes))).toEqual(bytes)
      expect(parseUuid(formatUuid(bytes))).toEqual(bytes)
    }),
  )
})

test.each(['', text.slice(1), `${text}0`, text.replaceAll('-', ''), text.replace('a', 'g'), ` ${text}`])(
  'the text %j is refused',
  (wrong) => {
    expect(() => parseGuid(wrong)).toThrow(expect.objectContaining({ code: 'bad-request' }))
  },
)

test('another number of bytes is a fault of the caller', () => {
  expect(() => formatGuid(new Uint8Array(15))).toThrow(expect.objectContaining({ code: 'bug' }))
  expect(() => formatUuid(new Uint8Array(17))).toThrow(expect.objectContaining({ code: 'bug' }))
})
