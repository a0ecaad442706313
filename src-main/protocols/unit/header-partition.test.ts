import { Buffer } from 'node:buffer'
import { describe, expect, test } from 'vitest'
import { repairCopyChecksum, sampleHeader, sampleUnitId } from '#test/support/units.ts'
import { decodeHeaderPartition, encodeHeaderPartition, rewriteHeader } from './header-partition.ts'
import type { HeaderWrite } from './header-partition.ts'

const secondOffset = 512 * 1024
const partition = (generation = 1): Buffer =>
  Buffer.from(encodeHeaderPartition({ unitId: sampleUnitId, generation, header: sampleHeader() }))
const withNotes = (notes: string) => (header: ReturnType<typeof sampleHeader>) => ({ ...header, notes })
const put = (
  bytes: Buffer,
  { offsetBytes, bytes: written }: HeaderWrite,
  length = written.length,
): Buffer => {
  const copy = Buffer.from(bytes)
  copy.set(written.subarray(0, length), offsetBytes)
  return copy
}
const putAll = (writes: readonly HeaderWrite[], bytes: Buffer): Buffer =>
  writes.reduce((before, write) => put(before, write), bytes)
const makeNewer = (bytes: Buffer, offset: number): void => {
  bytes.writeUInt32LE(2, offset + 8)
  repairCopyChecksum(bytes.subarray(offset))
}

describe('a new header partition', () => {
  test('is 1 MiB with two equal copies and an empty lock record', () => {
    const bytes = partition()
    expect(bytes).toHaveLength(1024 * 1024)
    expect(bytes.subarray(0, secondOffset).equals(Buffer.concat([bytes.subarray(secondOffset)]))).toBe(true)
    expect(bytes.subarray(1020 * 1024).every((byte) => byte === 0)).toBe(true)
    expect(decodeHeaderPartition(bytes)).toEqual({
      state: 'ok',
      generation: 1,
      header: sampleHeader(),
      problems: [],
    })
  })

  test('is refused for another unit id than that of the header', () => {
    const unitId = '00000000-0000-4000-8000-000000000000'
    expect(() => encodeHeaderPartition({ unitId, generation: 1, header: sampleHeader() })).toThrow(
      expect.objectContaining({ code: 'bad-request' }),
    )
  })
})

describe('reading a header partition', () => {
  test('zeros are empty; so is nothing at all', () => {
    expect(decodeHeaderPartition(new Uint8Array(1024 * 1024))).toEqual({ state: 'empty', problems: [] })
    expect(decodeHeaderPartition(new Uint8Array(0))).toEqual({ state: 'empty', problems: [] })
  })

  test.each([
    ['first', 0],
    ['second', secondOffset],
  ])(
    'a byte flipped anywhere in the %s copy is harmless: the other is taken and it is said',
    (name, offset) => {
      const bytes = partition()
      const end = 512 + bytes.readUInt32LE(12)
      for (let at = 0; at < end; at++) {
        bytes[offset + at] = (bytes[offset + at] ?? 0) ^ 1
        const read = decodeHeaderPartition(bytes)
        expect(read).toMatchObject({ state: 'ok', header: sampleHeader(), generation: 1 })
        if (at < 76 || at >= 512)
          expect(read.problems).toEqual([expect.stringMatching(`The ${name} copy of the header is`)])
        bytes[offset + at] = (bytes[offset + at] ?? 0) ^ 1
      }
    },
  )

  test('both copies broken is damaged, with a reason for each', () => {
    const bytes = partition()
    bytes.fill(0, 100, 700)
    bytes.fill(0, secondOffset, secondOffset + 8)
    expect(decodeHeaderPartition(bytes)).toEqual({
      state: 'damaged',
      problems: [
        expect.stringMatching(/first copy .* damaged: .*SHA-256/),
        expect.stringMatching(/second .* missing/),
      ],
    })
  })

  test('two valid copies of one generation that differ are reported; the first is taken', () => {
    const bytes = partition()
    const other = encodeHeaderPartition({
      unitId: sampleUnitId,
      generation: 1,
      header: sampleHeader({ notes: 'other' }),
    })
    bytes.set(other.subarray(secondOffset), secondOffset)
    expect(decodeHeaderPartition(bytes)).toMatchObject({
      state: 'ok',
      header: { notes: '' },
      problems: [expect.stringMatching(/differ/)],
    })
  })

  test('a header of a later format is newer, not damaged; a later generation of ours wins over it', () => {
    const bytes = partition(4)
    makeNewer(bytes, 0)
    makeNewer(bytes, secondOffset)
    expect(decodeHeaderPartition(bytes)).toEqual({
      state: 'newer',
      formatVersion: 2,
      generation: 4,
      problems: ['The header was written by a newer Gantry (format version 2)'],
    })
    bytes.set(partition(5).subarray(0, 4096))
    expect(decodeHeaderPartition(bytes)).toMatchObject({ state: 'ok', generation: 5 })
  })
})

describe('rewriting a header', () => {
  test('keeps what the update does not know', () => {
    const header = { ...sampleHeader(), later: [1, 2] }
    const before = encodeHeaderPartition({ unitId: sampleUnitId, generation: 1, header })
    const { generation, writes } = rewriteHeader(before, withNotes('new'))
    const after = putAll(writes, Buffer.from(before))
    expect(generation).toBe(2)
    expect(decodeHeaderPartition(after)).toEqual({
      state: 'ok',
      generation: 2,
      header: { ...header, notes: 'new' },
      problems: [],
    })
  })

  test('writes the broken or older copy first', () => {
    const firstOffsets = (bytes: Buffer): number[] =>
      rewriteHeader(bytes, withNotes('')).writes.map((w) => w.offsetBytes)
    const brokenFirst = partition()
    brokenFirst[30] = (brokenFirst[30] ?? 0) ^ 1
    expect(firstOffsets(brokenFirst)).toEqual([0, secondOffset])
    const brokenSecond = partition()
    brokenSecond.fill(0, secondOffset)
    expect(firstOffsets(brokenSecond)).toEqual([secondOffset, 0])
    const olderFirst = Buffer.from(partition(9))
    olderFirst.set(partition(8).subarray(0, 4096))
    expect(firstOffsets(olderFirst)).toEqual([0, secondOffset])
    const olderSecond = Buffer.from(partition(8))
    olderSecond.set(partition(9).subarray(0, 4096))
    expect(firstOffsets(olderSecond)).toEqual([secondOffset, 0])
  })

  test('leaves a valid header at every byte at which either write is cut off', () => {
    for (const start of [
      partition(),
      Buffer.concat([Buffer.alloc(secondOffset), partition().subarray(secondOffset)]),
    ]) {
      const { writes } = rewriteHeader(start, withNotes('new'))
      let bytes: Buffer = start
      for (const write of writes) {
        for (let length = 0; length <= write.bytes.length; length += 7)
          expect(decodeHeaderPartition(put(bytes, write, length)).state).toBe('ok')
        bytes = put(bytes, write)
      }
      expect(decodeHeaderPartition(bytes)).toMatchObject({ header: { notes: 'new' }, problems: [] })
    }
  })

  test('takes a write that was cut off between the copies further', () => {
    const [first] = rewriteHeader(partition(), withNotes('half')).writes
    const half = put(partition(), first)
    expect(decodeHeaderPartition(half)).toMatchObject({
      generation: 2,
      header: { notes: 'half' },
      problems: [expect.stringMatching(/older \(generation 1 of 2\)/)],
    })
    const { generation, writes } = rewriteHeader(half, (header) => header)
    expect([generation, writes[0].offsetBytes]).toEqual([3, 0])
    expect(decodeHeaderPartition(putAll(writes, half))).toMatchObject({ generation: 3, problems: [] })
  })

  test('refuses a newer format and a unit without a header that verifies', () => {
    const newer = partition()
    makeNewer(newer, 0)
    makeNewer(newer, secondOffset)
    expect(() => rewriteHeader(newer, withNotes(''))).toThrow(
      expect.objectContaining({ code: 'not-supported' }),
    )
    expect(() => rewriteHeader(new Uint8Array(1024 * 1024), withNotes(''))).toThrow(
      expect.objectContaining({ code: 'device-rejected' }),
    )
  })
})
