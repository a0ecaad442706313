import { array, assert, constantFrom, double, integer, property, record } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { GiB, MiB, TiB } from '../units/bytes.ts'
import { containerHolds, containerSize } from './container-size.ts'
import { roomFor } from './image-growth.ts'

const one = (sizeBytes: number) => [{ sizeBytes }]
const sumOf = (parts: Readonly<Record<string, number>>): number =>
  Object.values(parts).reduce((sum, part) => sum + part, 0)

describe('the size of a container (A1)', () => {
  test('is all data, 10 % and what partitions and the file system need, in whole steps of the array', () => {
    const { sizeBytes, parts } = containerSize({
      files: one(GiB),
      fileSystem: 'ext4',
      alignmentBytes: 64 * MiB,
    })
    expect(parts).toMatchObject({ dataBytes: GiB, headroomBytes: 107_376_640, partitionBytes: 3 * MiB })
    expect(sizeBytes % (64 * MiB)).toBe(0)
    expect(sumOf({ ...parts })).toBe(sizeBytes)
  })

  test.each([
    ['ext4', 16 * MiB, 33],
    ['ext4', 256 * MiB, 9],
    ['ext4', GiB, 5],
    ['ext4', 4 * GiB, 3],
    ['ext4', 16 * GiB, 2],
    ['ext4', 100 * GiB, 1],
    ['ext4', TiB, 0.2],
    ['xfs', 16 * MiB, 97],
    ['xfs', 256 * MiB, 27],
    ['xfs', GiB, 10],
    ['xfs', 4 * GiB, 4],
    ['xfs', 16 * GiB, 2],
    ['xfs', 100 * GiB, 1],
    ['xfs', TiB, 1],
    ['ntfs', 16 * MiB, 30],
    ['ntfs', 256 * MiB, 3],
    ['ntfs', GiB, 1.5],
    ['ntfs', 4 * GiB, 1],
    ['ntfs', 16 * GiB, 0.4],
    ['ntfs', 100 * GiB, 0.2],
    ['ntfs', TiB, 0.1],
  ] as const)(
    '%s: of %d bytes of data, what is neither data nor headroom is at most %d %%',
    (fileSystem, data, most) => {
      const { sizeBytes, parts } = containerSize({ files: one(data), fileSystem, alignmentBytes: MiB })
      const waste = (100 * (sizeBytes - parts.dataBytes - parts.headroomBytes)) / sizeBytes
      expect(waste).toBeLessThanOrEqual(most)
    },
  )

  test('10 % is not enough: a full image of 512 MiB and its file system do not fit in 1.1 times its size', () => {
    const content = { files: one(512 * MiB), headroomPercent: 0 } as const
    const naive = 564 * MiB
    expect(containerHolds(naive, { ...content, fileSystem: 'xfs' })).toBe(false)
    expect(containerHolds(naive, { ...content, fileSystem: 'ntfs' })).toBe(true)
  })

  test('XFS is never smaller than its 300 MiB', () => {
    const { sizeBytes } = containerSize({ files: one(1), fileSystem: 'xfs', alignmentBytes: MiB })
    expect(sizeBytes).toBe(303 * MiB)
  })

  test('counts a disk that grows at its virtual size and the format’s tables', () => {
    const disk = { index: 0, format: 'qcow2', virtualSizeBytes: 10 * GiB } as const
    const files = [roomFor({ sizeBytes: 200 * MiB, disk }), roomFor({ sizeBytes: 4000 })]
    const { parts } = containerSize({ files, fileSystem: 'ext4', alignmentBytes: MiB })
    expect(parts.dataBytes).toBeGreaterThan(10 * GiB)
    expect(parts.dataBytes).toBeLessThan(10 * GiB + 16 * MiB)
  })

  test('has an inode for every file, however small they are', () => {
    const files = Array.from({ length: 50_000 }, () => ({ sizeBytes: 1 }))
    const few = containerSize({ files: one(50_000 * 4096), fileSystem: 'ext4', alignmentBytes: MiB })
    const many = containerSize({ files, fileSystem: 'ext4', alignmentBytes: MiB })
    expect(many.parts.dataBytes).toBe(few.parts.dataBytes)
    expect(many.sizeBytes).toBeGreaterThan(50_000 * MiB)
  })

  test('is aligned, holds what it is made for, and is not larger than it must be', () => {
    const content = record({
      files: array(record({ sizeBytes: integer({ min: 0, max: 20 * GiB }) }), { maxLength: 20 }),
      fileSystem: constantFrom('ext4', 'xfs', 'ntfs'),
      headroomPercent: double({ min: 0, max: 200, noNaN: true }),
      alignmentBytes: constantFrom(512, 4096, MiB, 3 * MiB, 64 * MiB, GiB),
    })
    assert(
      property(content, (wanted) => {
        const { sizeBytes, parts } = containerSize(wanted)
        expect(sizeBytes % wanted.alignmentBytes).toBe(0)
        expect(sumOf({ ...parts })).toBe(sizeBytes)
        expect(parts.spareBytes).toBeGreaterThanOrEqual(0)
        expect(containerHolds(sizeBytes, wanted)).toBe(true)
        // ext4 leaves out a last block group that is too small: there a larger size can hold less.
        const step = Math.max(wanted.alignmentBytes, wanted.fileSystem === 'ext4' ? 16 * MiB : MiB)
        expect(containerHolds(sizeBytes - step, wanted)).toBe(false)
      }),
    )
  })

  test.each([
    ['a negative size', { files: one(-1) }],
    ['no number', { files: one(Number.NaN) }],
    ['more than a container can have', { files: one(2 * 1024 ** 5) }],
    ['a negative headroom', { headroomPercent: -1 }],
    ['an alignment of 0', { alignmentBytes: 0 }],
    ['half an alignment', { alignmentBytes: 0.5 }],
  ])('refuses %s', (_, wrong) => {
    const right = { files: one(GiB), fileSystem: 'ext4', alignmentBytes: MiB } as const
    expect(() => containerSize({ ...right, ...wrong })).toThrow(
      expect.objectContaining({ code: 'bad-request' }),
    )
  })
})
