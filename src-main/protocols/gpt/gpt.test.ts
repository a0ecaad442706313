import { readFileSync } from 'node:fs'
import { assert, integer, property, uint8Array } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeGpt } from '#test/support/partition-tables.ts'
import type { TestGpt } from '#test/support/partition-tables.ts'
import { decodeBackupGpt, decodePrimaryGpt } from './gpt.ts'

const fixture = (name: string): Buffer =>
  readFileSync(new URL(`../../../test/fixtures/gpt/${name}`, import.meta.url))
const diskBytes = 16 * 1024 * 1024

const sfdiskPartitions = [
  {
    number: 1,
    type: 'afa682cc-4018-451c-93e5-75e1c647da01',
    guid: '11111111-2222-4333-8444-555555555555',
    firstLba: 2048,
    sectors: 2048,
    name: 'gantry-header',
  },
  {
    number: 2,
    type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
    guid: '01234567-89ab-4cde-8f01-23456789abcd',
    firstLba: 4096,
    sectors: 26_624,
    name: 'Daten-Größe',
  },
]

const linux = '0fc63daf-8483-4772-8e79-3d69d8477de4'
const disk: TestGpt = { diskSectors: 32_768, partitions: [{ type: linux, firstLba: 2048, sectors: 10 }] }
const rejected = (words: RegExp): unknown =>
  expect.objectContaining({
    code: 'device-rejected',
    message: expect.stringMatching(words),
    facts: expect.objectContaining({ offset: expect.stringMatching(/^\d+$/) }),
  })

describe('a GPT of sfdisk', () => {
  test('is read from the beginning of the disk', () => {
    const { header, partitions } = decodePrimaryGpt(fixture('gpt-start.bin'))
    expect(header).toMatchObject({
      diskGuid: '6b1a2f60-1c1e-4b57-9c5e-0a1b2c3d4e5f',
      currentLba: 1,
      otherLba: 32_767,
      firstUsableLba: 2048,
      lastUsableLba: 32_734,
      entryCount: 128,
      entryBytes: 128,
    })
    expect(partitions).toEqual(sfdiskPartitions)
  })

  test('is read from its end, also when more than needed is given', () => {
    const end = fixture('gpt-end.bin')
    expect(decodeBackupGpt(end, diskBytes).partitions).toEqual(sfdiskPartitions)
    expect(decodeBackupGpt(Buffer.concat([Buffer.alloc(4096), end]), diskBytes).partitions).toEqual(
      sfdiskPartitions,
    )
  })

  test('is refused when truncated at any byte, from either side', () => {
    const start = fixture('gpt-start.bin')
    for (let length = 0; length < start.length; length++)
      expect(() => decodePrimaryGpt(start.subarray(0, length))).toThrow(rejected(/./))
    const end = fixture('gpt-end.bin')
    for (let cut = 1; cut <= end.length; cut++)
      expect(() => decodeBackupGpt(end.subarray(cut), diskBytes)).toThrow(rejected(/./))
    for (let cut = 1; cut <= end.length; cut++)
      expect(() => decodeBackupGpt(end.subarray(0, end.length - cut), diskBytes)).toThrow(rejected(/./))
  })

  test('shows every flipped byte of header and entries', () => {
    const start = fixture('gpt-start.bin')
    for (const offset of [...range(512, 512 + 92), ...range(1024, start.length)]) {
      start[offset] = (start[offset] ?? 0) ^ 0x10
      expect(() => decodePrimaryGpt(start), `byte ${offset}`).toThrow(rejected(/./))
      start[offset] = (start[offset] ?? 0) ^ 0x10
    }
    expect(decodePrimaryGpt(start).partitions).toEqual(sfdiskPartitions)
  })
})

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, index) => from + index)

describe('a GPT that lies with right checksums', () => {
  test.each<[string, TestGpt['lie'], RegExp]>([
    ['revision', (header) => header.writeUInt32LE(0x20000, 8), /revision/],
    ['header too short', (header) => header.writeUInt32LE(91, 12), /length of the GPT header/],
    ['header longer than a sector', (header) => header.writeUInt32LE(513, 12), /length of the GPT header/],
    ['header length of 4 GiB', (header) => header.writeUInt32LE(0xffffffff, 12), /length of the GPT header/],
    ['place of the header', (header) => header.writeBigUInt64LE(7n, 24), /LBA of this GPT header/],
    ['place of the other', (header) => header.fill(0xff, 32, 40), /LBA of the other GPT header/],
    ['first usable beyond last', (header) => header.writeBigUInt64LE(40_000n, 40), /last usable LBA/],
    ['last usable of 2^64-1', (header) => header.fill(0xff, 48, 56), /last usable LBA/],
    ['entries over the header', (header) => header.writeBigUInt64LE(1n, 72), /LBA of the GPT entries/],
    ['entries in the data', (header) => header.writeBigUInt64LE(20n, 72), /LBA of the GPT entries/],
    ['entries at 2^64-1', (header) => header.fill(0xff, 72, 80), /LBA of the GPT entries/],
    ['no entries', (header) => header.writeUInt32LE(0, 80), /number of GPT entries/],
    ['4 Gi entries', (header) => header.writeUInt32LE(0xffffffff, 80), /number of GPT entries/],
    ['one entry too many', (header) => header.writeUInt32LE(129, 80), /LBA of the GPT entries/],
    ['entries of 0 bytes', (header) => header.writeUInt32LE(0, 84), /bytes of a GPT entry/],
    ['entries of 129 bytes', (header) => header.writeUInt32LE(129, 84), /bytes of a GPT entry/],
    ['entries of 2 GiB', (header) => header.writeUInt32LE(0x80000000, 84), /number of GPT entries/],
    ['partition before the usable', (_, entries) => entries.writeBigUInt64LE(33n, 32), /first LBA/],
    ['partition after the usable', (_, entries) => entries.writeBigUInt64LE(32_735n, 40), /last LBA/],
    ['partition of negative length', (_, entries) => entries.writeBigUInt64LE(2047n, 40), /last LBA/],
    ['partition at 2^64-1', (_, entries) => entries.fill(0xff, 32, 48), /first LBA/],
  ])('%s', (_, lie, words) => {
    const bytes = encodeGpt({ ...disk, ...(lie && { lie }) })
    expect(() => decodePrimaryGpt(bytes)).toThrow(rejected(words))
  })

  test('partitions that overlap', () => {
    const partitions = [
      { type: linux, firstLba: 2048, sectors: 10 },
      { type: linux, firstLba: 2057, sectors: 10 },
    ]
    expect(() => decodePrimaryGpt(encodeGpt({ ...disk, partitions }))).toThrow(rejected(/partition 2/))
  })

  test('a backup whose entries lie elsewhere', () => {
    for (const lba of [0n, 5n, 32_734n, 32_736n, 0xffffffffn]) {
      const bytes = encodeGpt({ ...disk, lie: (header) => header.writeBigUInt64LE(lba, 72) }, true)
      expect(() => decodeBackupGpt(bytes, diskBytes), String(lba)).toThrow(rejected(/LBA of the GPT entries/))
    }
    expect(decodeBackupGpt(encodeGpt(disk, true), diskBytes).partitions).toHaveLength(1)
  })
})

test('a name with half a surrogate pair is well-formed text', () => {
  const bytes = encodeGpt({ ...disk, lie: (_, entries) => entries.writeUInt16LE(0xd83d, 56) })
  expect(decodePrimaryGpt(bytes).partitions[0]?.name).toBe('\ufffd')
})

test('a name of all 36 units has no end mark', () => {
  const partitions = [{ type: linux, firstLba: 2048, sectors: 10, name: 'x'.repeat(36) }]
  expect(decodePrimaryGpt(encodeGpt({ ...disk, partitions })).partitions[0]?.name).toBe('x'.repeat(36))
})

test('a table for 4096-byte sectors is not supported and says so', () => {
  const bytes = Buffer.alloc(6 * 4096)
  encodeGpt(disk).copy(bytes, 4096, 512, 1024)
  expect(() => decodePrimaryGpt(bytes)).toThrow(expect.objectContaining({ code: 'not-supported' }))
})

test('an MBR without the protective entry is no GPT', () => {
  const bytes = encodeGpt(disk)
  bytes[450] = 0x83
  expect(() => decodePrimaryGpt(bytes)).toThrow(rejected(/protective/))
})

test('any partitions inside the usable sectors are read back', () => {
  assert(
    property(integer({ min: 1, max: 128 }), integer({ min: 1, max: 200 }), (count, sectors) => {
      const partitions = Array.from({ length: count }, (_, index) => ({
        type: linux,
        firstLba: 34 + index * sectors,
        sectors,
        name: `p${index}`,
      }))
      expect(decodePrimaryGpt(encodeGpt({ ...disk, partitions })).partitions).toMatchObject(partitions)
    }),
  )
})

test('any bytes at all end in an AppError', () => {
  assert(
    property(uint8Array({ maxLength: 2048 }), (bytes) => {
      expect(() => decodePrimaryGpt(bytes)).toThrow(rejected(/./))
      expect(() => decodeBackupGpt(bytes, diskBytes)).toThrow(rejected(/./))
    }),
  )
})
