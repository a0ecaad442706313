import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { assert, integer, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { repairCopyChecksum, sampleHeader } from '#test/support/units.ts'
import { decodeHeaderCopy, encodeHeaderCopy } from './header-copy.ts'

const copyOf = (json: string | Uint8Array): Buffer => {
  const bytes = Buffer.from(encodeHeaderCopy(sampleHeader(), 1))
  const content = Buffer.from(json as string)
  const whole = Buffer.concat([bytes.subarray(0, 512), content])
  whole.writeUInt32LE(content.length, 12)
  createHash('sha256').update(content).digest().copy(whole, 16)
  repairCopyChecksum(whole)
  return whole
}

describe('a header copy (A8, B3)', () => {
  test('has the layout of docs/unit-format.md', () => {
    const bytes = Buffer.from(encodeHeaderCopy(sampleHeader(), 7))
    const jsonBytes = bytes.readUInt32LE(12)
    const json = bytes.subarray(512, 512 + jsonBytes)
    expect(bytes.toString('latin1', 0, 8)).toBe('GANTRYU1')
    expect(bytes.readUInt32LE(8)).toBe(1)
    expect(bytes.toString('hex', 16, 48)).toBe(createHash('sha256').update(json).digest('hex'))
    expect(bytes.toString('hex', 48, 64)).toBe('5f0c2b1e8d7a4c369b410a1b2c3d4e5f')
    expect(bytes.readBigUInt64LE(64)).toBe(7n)
    expect(bytes.subarray(76, 512).every((byte) => byte === 0)).toBe(true)
    expect(JSON.parse(json.toString())).toEqual(sampleHeader())
    expect(bytes.length % 4096).toBe(0)
  })

  test('comes back as it was', () => {
    assert(
      property(string({ unit: 'grapheme', maxLength: 300 }), integer({ min: 1 }), (notes, generation) => {
        const header = sampleHeader({ notes })
        expect(decodeHeaderCopy(encodeHeaderCopy(header, generation))).toMatchObject({
          state: 'ok',
          header,
          generation,
        })
      }),
    )
  })

  test('keeps fields that this version does not know, at every depth', () => {
    const header = { ...sampleHeader(), later: { deep: [1, 'x'] } }
    const first = header.files[0]
    const changed = { ...header, files: [{ ...first, later: true }] }
    expect(decodeHeaderCopy(copyOf(JSON.stringify(changed)))).toMatchObject({
      header: { later: { deep: [1, 'x'] }, files: [{ later: true }] },
    })
  })

  test('is broken when truncated at any byte, or absent before its magic is whole', () => {
    const bytes = encodeHeaderCopy(sampleHeader(), 1)
    const end = 512 + Buffer.from(bytes).readUInt32LE(12)
    for (let length = 0; length < end; length++)
      expect(decodeHeaderCopy(bytes.subarray(0, length)).state, String(length)).toBe(
        length < 8 ? 'absent' : 'broken',
      )
    expect(decodeHeaderCopy(bytes.subarray(0, end)).state).toBe('ok')
  })

  test('shows every flipped bit, or it is one of the bytes that are not looked at', () => {
    const bytes = encodeHeaderCopy(sampleHeader(), 1)
    const end = 512 + Buffer.from(bytes).readUInt32LE(12)
    for (let offset = 0; offset < bytes.length; offset++)
      for (const bit of [1, 0x80]) {
        bytes[offset] = (bytes[offset] ?? 0) ^ bit
        const free = (offset >= 76 && offset < 512) || offset >= end
        expect(decodeHeaderCopy(bytes).state, `byte ${offset}`).toBe(
          free ? 'ok' : offset < 8 ? 'absent' : 'broken',
        )
        bytes[offset] = (bytes[offset] ?? 0) ^ bit
      }
  })

  test.each([
    ['JSON beyond the limit', 12, 491_521, /at most 491520 fit/],
    ['JSON beyond the bytes', 12, 5000, /cut off/],
    ['JSON of 4 GiB', 12, 0xffffffff, /at most 491520 fit/],
    [
      'JSON one byte longer',
      12,
      Buffer.from(encodeHeaderCopy(sampleHeader(), 1)).readUInt32LE(12) + 1,
      /SHA-256/,
    ],
    ['no JSON', 12, 0, /SHA-256/],
    ['format version 0', 8, 0, /version is 0/],
    ['generation above 2^53', 68, 0x00200000, /out of range/],
  ])('that lies with a right checksum is broken: %s', (_, offset, value, words) => {
    const bytes = Buffer.from(encodeHeaderCopy(sampleHeader(), 1))
    bytes.writeUInt32LE(value, offset)
    repairCopyChecksum(bytes)
    expect(decodeHeaderCopy(bytes)).toEqual({ state: 'broken', problem: expect.stringMatching(words) })
  })

  test('of generation 0 is broken, and cannot be written', () => {
    const bytes = Buffer.from(encodeHeaderCopy(sampleHeader(), 1))
    bytes.writeBigUInt64LE(0n, 64)
    repairCopyChecksum(bytes)
    expect(decodeHeaderCopy(bytes).state).toBe('broken')
    for (const generation of [0, -1, 1.5, 2 ** 53])
      expect(() => encodeHeaderCopy(sampleHeader(), generation)).toThrow(/generation/)
  })

  test('of a later format is told from a broken one, whatever its JSON is', () => {
    const bytes = Buffer.from(encodeHeaderCopy(sampleHeader(), 3))
    bytes.writeUInt32LE(2, 8)
    bytes.fill(0xaa, 512)
    expect(decodeHeaderCopy(bytes).state).toBe('broken')
    repairCopyChecksum(bytes)
    expect(decodeHeaderCopy(bytes)).toEqual({ state: 'newer', formatVersion: 2, generation: 3 })
  })

  test.each([
    ['not UTF-8', Buffer.of(0x22, 0xff, 0x22), /UTF-8/],
    ['too long', JSON.stringify(sampleHeader()).padEnd(491_521), /at most 491520 fit/],
    ['not JSON', '{"unitId":', /parsed/],
    ['not an object', '17', /the whole/],
    ['a field of the wrong type', JSON.stringify({ ...sampleHeader(), role: 'king' }), /role/],
    ['missing fields', '{}', /unitId/],
    ['nested without end', `${'['.repeat(200_000)}${']'.repeat(200_000)}`, /deep/],
    [
      'of another unit',
      JSON.stringify(sampleHeader({ unitId: '00000000-0000-4000-8000-000000000000' })),
      /names unit/,
    ],
  ])('with a JSON that is %s is broken and says so', (_, json, words) => {
    expect(decodeHeaderCopy(copyOf(json))).toEqual({ state: 'broken', problem: expect.stringMatching(words) })
  })
})

describe('a header that does not fit', () => {
  const text = (bytes: number): string => 'x'.repeat(bytes)

  test('may have 491,520 bytes of JSON and no more', () => {
    const empty = Buffer.from(encodeHeaderCopy(sampleHeader({ notes: '' }), 1)).readUInt32LE(12)
    const fits = sampleHeader({ notes: text(491_520 - empty) })
    expect(decodeHeaderCopy(encodeHeaderCopy(fits, 1)).state).toBe('ok')
    expect(() => encodeHeaderCopy(sampleHeader({ notes: text(491_521 - empty) }), 1)).toThrow(
      expect.objectContaining({ code: 'bad-request', message: expect.stringMatching(/491521/) }),
    )
  })

  test.each([
    ['notes', sampleHeader({ notes: text(500_000) })],
    [
      'vm.configuration.text',
      sampleHeader({
        vm: { ...sampleHeader().vm, configuration: { format: 'libvirt-xml', text: text(500_000) } },
      }),
    ],
    [
      'files',
      sampleHeader({
        files: Array.from({ length: 6000 }, () => ({ path: 'a', sizeBytes: 1, sha256: 'ab'.repeat(32) })),
      }),
    ],
  ])('names the large part: %s', (path, header) => {
    expect(() => encodeHeaderCopy(header, 1)).toThrow(
      expect.objectContaining({
        facts: { 'largest part': expect.stringMatching(new RegExp(`^${path}, \\d{6} bytes$`)) },
      }),
    )
  })

  test('must fit the schema', () => {
    expect(() => encodeHeaderCopy(sampleHeader({ stagedAt: 'yesterday' }), 1)).toThrow(
      expect.objectContaining({ code: 'bad-request', message: expect.stringMatching(/stagedAt/) }),
    )
  })
})
