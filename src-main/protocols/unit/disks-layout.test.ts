import { assert, constantFrom, integer, option, property, uniqueArray } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { GiB, MiB } from '#shared/units/bytes.ts'
import { encodeGpt } from '../gpt/encode.ts'
import { decodePrimaryGpt } from '../gpt/gpt.ts'
import { baseContents, planDisksLayout, type DisksLayoutRequest, type PlannedUnit } from './disks-layout.ts'

const request: DisksLayoutRequest = {
  contents: 'all',
  memoryBytes: 512 * MiB,
  disks: [
    { index: 0, sizeBytes: GiB },
    { index: 1, sizeBytes: 64 * MiB + 512 },
    { index: 2, sizeBytes: 128 * MiB },
  ],
}
const components = ({ partitions }: PlannedUnit): string[] => partitions.map(({ name }) => name)
const small = ['gantry-header', 'configuration', 'state', 'snapshots']
const refused = (words: RegExp): unknown =>
  expect.objectContaining({ code: 'bad-request', message: expect.stringMatching(words) })

describe('B4: the layouts', () => {
  test.each([
    ['state', [], ['disk0', 'disk1', 'disk2']],
    ['without-primary', ['disk1', 'disk2'], ['disk0']],
    ['primary', ['disk0'], ['disk1', 'disk2']],
    ['all', ['disk0', 'disk1', 'disk2'], []],
  ] as const)('%s', (contents, inBase, apart) => {
    const { base, secondaries } = planDisksLayout({ ...request, contents })
    expect(components(base)).toEqual([...small, ...inBase])
    expect(secondaries.map(components)).toEqual(apart.map((disk) => ['gantry-header', disk]))
    expect([base, ...secondaries].map(({ role }) => role)).toEqual(['base', ...apart.map(() => 'secondary')])
  })

  test('every component at its place, the size to the byte', () => {
    const { base } = planDisksLayout({ ...request, contents: 'primary' })
    expect(base.partitions.map(({ firstLba, sectors }) => [firstLba * 512, sectors * 512])).toEqual([
      [MiB, MiB],
      [2 * MiB, MiB],
      [3 * MiB, 512 * MiB],
      [515 * MiB, 16 * MiB],
      [531 * MiB, GiB],
    ])
    expect(base.sizeBytes).toBe(532 * MiB + GiB)
  })

  test('the state has room for the memory, or for more where it is told so, and never less', () => {
    const stateOf = (more: Partial<DisksLayoutRequest>): number | undefined =>
      planDisksLayout({ ...request, ...more }).base.partitions.find(({ name }) => name === 'state')?.sectors
    expect(stateOf({})).toBe((512 * MiB) / 512)
    expect(stateOf({ memoryBytes: 512 * MiB + 1 })).toBe((513 * MiB) / 512)
    expect(stateOf({ stateBytes: 2 * GiB })).toBe((2 * GiB) / 512)
    expect(() => stateOf({ stateBytes: 511 * MiB })).toThrow(refused(/less than the VM's memory/))
  })
})

test.each<[string, Partial<DisksLayoutRequest>, RegExp]>([
  [
    'a disk twice',
    {
      disks: [
        { index: 1, sizeBytes: 512 },
        { index: 1, sizeBytes: 512 },
      ],
    },
    /index 1/,
  ],
  ['half a sector', { disks: [{ index: 0, sizeBytes: 700 }] }, /whole sectors/],
  ['a disk of nothing', { disks: [{ index: 0, sizeBytes: 0 }] }, /whole sectors/],
  ['a disk of no number', { disks: [{ index: 0, sizeBytes: Number.NaN }] }, /whole sectors/],
  ['a negative index', { disks: [{ index: -1, sizeBytes: 512 }] }, /index -1/],
  ['no memory', { memoryBytes: 0 }, /no size for state/],
  ['more than numbers hold', { disks: [{ index: 0, sizeBytes: 2 ** 53 - 512 }] }, /too large/],
  [
    'more components than a table has',
    { disks: Array.from({ length: 125 }, (_, index) => ({ index, sizeBytes: 512 })) },
    /components/,
  ],
])('refuses %s', (_, changes, words) => {
  expect(() => planDisksLayout({ ...request, ...changes })).toThrow(refused(words))
})

test('any plan is a valid GPT: aligned, apart, inside, every disk once with its whole size', () => {
  const sizes = uniqueArray(integer({ min: 1, max: 40 }), { maxLength: 6 })
  assert(
    property(
      constantFrom(...baseContents),
      sizes,
      integer({ min: 1, max: 2 * GiB }),
      option(integer({ min: 0, max: GiB })),
      constantFrom(MiB, 4 * MiB, 64 * MiB),
      (contents, sectors, memoryBytes, more, alignmentBytes) => {
        const disks = sectors.map((count, index) => ({ index, sizeBytes: count * 100_352 }))
        const stateBytes = more === null ? undefined : memoryBytes + more
        const { base, secondaries } = planDisksLayout({
          contents,
          disks,
          memoryBytes,
          alignmentBytes,
          ...(stateBytes === undefined ? {} : { stateBytes }),
        })
        const units = [base, ...secondaries]
        for (const { sizeBytes, partitions } of units) {
          const guid = '01234567-89ab-4cde-8f01-23456789abcd'
          const { start } = encodeGpt({
            diskBytes: sizeBytes,
            diskGuid: guid,
            partitions: partitions.map((partition) => ({ ...partition, guid })),
          })
          expect(decodePrimaryGpt(start).partitions).toHaveLength(partitions.length)
          expect(sizeBytes % alignmentBytes).toBe(0)
          for (const { firstLba, sectors: length } of partitions)
            expect([firstLba % 2048, length % 2048]).toEqual([0, 0])
        }
        const placed = units.flatMap(({ partitions }) => partitions.filter(({ disk }) => disk !== undefined))
        expect(placed.map(({ disk }) => disk).toSorted((a, b) => (a?.index ?? 0) - (b?.index ?? 0))).toEqual(
          disks,
        )
        for (const { disk, sectors: length } of placed)
          expect(length * 512).toBeGreaterThanOrEqual(disk?.sizeBytes ?? 0)
        const state = base.partitions.find(({ component }) => component === 'state')
        expect((state?.sectors ?? 0) * 512).toBeGreaterThanOrEqual(stateBytes ?? memoryBytes)
      },
    ),
    { numRuns: 200 },
  )
})
