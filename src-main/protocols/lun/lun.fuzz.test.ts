import { array, assert, constantFrom, nat, property, record } from 'fast-check'
import { expect, test } from 'vitest'
import { AppError } from '#shared/errors/app-error.ts'
import { KiB, MiB } from '#shared/units/bytes.ts'
import { repairGptChecksums } from '#test/support/partition-tables.ts'
import { repairCopyChecksum, sampleHeader } from '#test/support/units.ts'
import { makeVhd, repairVhdChecksums } from '#test/support/vhd.ts'
import { encodeGpt } from '../gpt/encode.ts'
import { planGptRepair } from '../gpt/repair.ts'
import { readVhdBlocks, readVhdTable, vhdDynamicHeaderOffset, writtenSectors } from '../images/vhd-blocks.ts'
import { planDisksLayout } from '../unit/disks-layout.ts'
import { encodeHeaderPartition } from '../unit/header-partition.ts'
import { encodeLockRecord, decodeLockRecord } from '../unit/lock-record.ts'
import { classifyLun } from './classify.ts'

/** `GANTRY_FUZZ_RUNS=1000000 npm run test:unit -- lun.fuzz` for a long run. */
const runs = Number(process.env['GANTRY_FUZZ_RUNS'] ?? 3000)
const timeout = 60_000 + runs * 20

const mutation = (regions: readonly { from: number; length: number }[]) =>
  record({
    region: constantFrom(...regions),
    at: nat(20_000),
    value: constantFrom(0, 1, 2, 0x7f, 0x80, 0xee, 0xda, 0xff),
    length: constantFrom(1, 1, 2, 4, 8, 64),
  })

/** Runs with the changes in place and takes them back: a copy of the whole for each run would be most of the time. */
function mutated<T>(
  bytes: Buffer,
  changes: readonly { region: { from: number; length: number }; at: number; value: number; length: number }[],
  fix: () => void,
  keep: readonly { from: number; length: number }[],
  use: () => T,
): T {
  const before = keep.map(({ from, length }) => Buffer.from(bytes.subarray(from, from + length)))
  try {
    for (const { region, at, value, length } of changes) {
      const start = region.from + (at % region.length)
      bytes.fill(value, start, Math.min(start + length, region.from + region.length))
    }
    fix()
    return use()
  } finally {
    for (const [index, { from }] of keep.entries()) bytes.set(before[index] ?? [], from)
  }
}

function unitDisk(): Buffer {
  const { base } = planDisksLayout({
    contents: 'all',
    memoryBytes: MiB,
    disks: [{ index: 0, sizeBytes: MiB }],
  })
  const disk = Buffer.alloc(base.sizeBytes)
  const guid = '01234567-89ab-4cde-8f01-23456789abcd'
  const partitions = base.partitions.map((partition) => ({ ...partition, guid }))
  const { fileSystem: _none, ...header } = sampleHeader({ role: 'base', layout: 'disks', files: [] })
  const { start, end } = encodeGpt({ diskBytes: disk.length, diskGuid: header.unitId, partitions })
  disk.set(start)
  disk.set(encodeHeaderPartition({ unitId: header.unitId, generation: 1, header }), MiB)
  disk.set(end, disk.length - end.length)
  return disk
}

test(
  'whatever lies at the ends of a LUN has a class, and a plan of repair that stays inside of it',
  { timeout },
  () => {
    const disk = unitDisk()
    const regions = [
      { from: 440, length: 72 },
      { from: 512, length: 92 },
      { from: 1024, length: 5 * 128 },
      { from: MiB, length: 1600 },
      { from: MiB + 512 * KiB, length: 1600 },
      { from: disk.length - 33 * 512, length: 5 * 128 },
      { from: disk.length - 512, length: 92 },
    ]
    const input = record({
      changes: array(mutation(regions), { minLength: 1, maxLength: 6 }),
      /** With right checksums the changes get through to what is behind them. */
      repair: constantFrom('nothing', 'table', 'header', 'both'),
      sizeBytes: constantFrom(disk.length, disk.length, disk.length - MiB, disk.length + MiB, 4096, 0),
    })
    assert(
      property(input, ({ changes, repair, sizeBytes }) => {
        const fix = (): void => {
          if (repair === 'table' || repair === 'both') repairGptChecksums(disk)
          if (repair === 'header' || repair === 'both') repairCopyChecksum(disk.subarray(MiB))
        }
        mutated(disk, changes, fix, regions, () => {
          const first = disk.subarray(0, Math.min(2 * MiB, sizeBytes))
          const last = disk.subarray(
            Math.max(0, Math.min(disk.length, sizeBytes) - MiB),
            Math.min(disk.length, sizeBytes),
          )
          const found = classifyLun({ first, last, sizeBytes })
          // never taken for something that may be written over
          if (sizeBytes >= disk.length && found.kind === 'empty')
            throw new Error('a unit is taken for an empty LUN')
          try {
            for (const { offsetBytes, bytes } of planGptRepair(first, last, sizeBytes).writes)
              if (offsetBytes < 0 || offsetBytes + bytes.length > sizeBytes || bytes.length % 512 !== 0)
                throw new Error(`a write of ${bytes.length} bytes at ${offsetBytes} of ${sizeBytes}`)
          } catch (error) {
            if (!(error instanceof AppError) || error.code === 'bug') throw error
          }
        })
      }),
      { numRuns: runs },
    )
    expect(
      classifyLun({ first: disk.subarray(0, 2 * MiB), last: disk.subarray(-MiB), sizeBytes: disk.length })
        .kind,
    ).toBe('vm')
  },
)

test('a hostile VHD names no byte outside of its file or its disk', { timeout }, () => {
  const virtualSizeBytes = 6 * MiB
  const { bytes, tableOffset } = makeVhd(virtualSizeBytes, [
    { index: 0, first: 0, count: 8, fill: 1 },
    { index: 2, first: 100, count: 300, fill: 2 },
  ])
  const footerAt = bytes.length - 512
  const regions = [
    { from: footerAt, length: 96 },
    { from: 512, length: 64 },
    { from: tableOffset, length: 16 },
  ]
  const keep = [{ from: 0, length: 2048 }, ...regions]
  assert(
    property(array(mutation(regions), { minLength: 1, maxLength: 5 }), (changes) => {
      mutated(
        bytes,
        changes,
        () => repairVhdChecksums(bytes),
        keep,
        () => {
          try {
            const offset = vhdDynamicHeaderOffset('x', bytes.subarray(footerAt), bytes.length)
            const file = { offset, sizeBytes: bytes.length, virtualSizeBytes }
            const table = readVhdTable('x', bytes.subarray(offset, offset + 1024), file)
            for (const block of readVhdBlocks('x', bytes.subarray(table.offset), table, bytes.length)) {
              const end = block.offset + table.bitmapBytes + table.blockBytes
              if (end > bytes.length || block.index * table.blockBytes >= virtualSizeBytes)
                throw new Error(`block ${block.index} at ${block.offset}`)
              const sectors =
                Math.min(table.blockBytes, virtualSizeBytes - block.index * table.blockBytes) / 512
              const bitmap = bytes.subarray(block.offset, block.offset + table.bitmapBytes)
              for (const [first, count] of writtenSectors(bitmap, sectors))
                if (first < 0 || count < 1 || first + count > sectors)
                  throw new Error(`sectors ${first} ${count}`)
            }
          } catch (error) {
            if (!(error instanceof AppError) || error.code === 'bug') throw error
          }
        },
      )
    }),
    { numRuns: runs },
  )
})

test(
  'a lock record that is changed anywhere is another’s only when its checksum says so',
  { timeout },
  () => {
    const bootId = '00112233-4455-4677-8899-aabbccddeeff'
    const bytes = Buffer.from(encodeLockRecord({ owner: 'kvm1', bootId, takenAtMs: 1 }))
    const regions = [{ from: 0, length: 512 }]
    assert(
      property(array(mutation(regions), { minLength: 1, maxLength: 4 }), (changes) => {
        mutated(
          bytes,
          changes,
          () => undefined,
          regions,
          () => {
            const found = decodeLockRecord(bytes)
            if (found.state === 'held' && found.lock.owner !== 'kvm1') throw new Error('another owner')
          },
        )
      }),
      { numRuns: runs },
    )
  },
)
