import { Buffer } from 'node:buffer'
import { array, assert, constantFrom, nat, property, record } from 'fast-check'
import { expect, test } from 'vitest'
import { repairGptChecksums } from '#test/support/partition-tables.ts'
import { repairCopyChecksum, sampleHeader, sampleMbr, sampleUnit } from '#test/support/units.ts'
import { headerPartitionBytes, headerPartitionOffsetBytes } from '#shared/domain/unit-layout.ts'
import { decodeUnit } from './unit.ts'

/** `GANTRY_FUZZ_RUNS=1000000 npm run test:unit -- unit.fuzz` for a long run. */
const runs = Number(process.env['GANTRY_FUZZ_RUNS'] ?? 20_000)

// Where a change matters: everything else of the 2 MiB is zero and not looked at.
const headerOffsets = [headerPartitionOffsetBytes, headerPartitionOffsetBytes + headerPartitionBytes / 2]
const regions = [
  { from: 440, length: 72 },
  { from: 512, length: 92 },
  { from: 1024, length: 256 },
  ...headerOffsets.flatMap((from) => [
    { from, length: 76 },
    { from: from + 512, length: 1100 },
  ]),
]
const mutation = record({
  region: constantFrom(...regions),
  at: nat(2000),
  value: constantFrom(0, 1, 2, 0x7f, 0x80, 0xee, 0xda, 0xff),
  length: constantFrom(1, 1, 2, 4, 8, 16),
})
const input = record({
  table: constantFrom('gpt', 'mbr'),
  mutations: array(mutation, { minLength: 1, maxLength: 6 }),
  /** With right checksums the changes get through to the fields behind them. */
  repair: constantFrom('nothing', 'table', 'header', 'both'),
  length: constantFrom(undefined, 0, 511, 1023, 1040, 17_000, headerPartitionOffsetBytes + 600, 1_600_000),
})

const units = { gpt: sampleUnit(), mbr: sampleUnit(sampleMbr()) }

test('whatever the bytes are, they decode to a state that holds together', { timeout: 60_000 + runs }, () => {
  assert(
    property(input, ({ table, mutations, repair, length }) => {
      const bytes = units[table]
      const before = regions.map(({ from, length: size }) => Buffer.from(bytes.subarray(from, from + size)))
      for (const { region, at, value, length: size } of mutations) {
        const start = region.from + (at % region.length)
        bytes.fill(value, start, Math.min(start + size, region.from + region.length))
      }
      if ((repair === 'table' || repair === 'both') && table === 'gpt') repairGptChecksums(bytes)
      if (repair === 'header' || repair === 'both')
        for (const offset of headerOffsets) repairCopyChecksum(bytes.subarray(offset))
      try {
        check(length === undefined ? bytes : bytes.subarray(0, length))
      } finally {
        for (const [index, { from }] of regions.entries()) bytes.set(before[index] ?? [], from)
      }
    }),
    { numRuns: runs },
  )
  expect(decodeUnit(units.gpt)).toMatchObject({ state: 'ok', header: sampleHeader(), problems: [] })
  expect(decodeUnit(units.mbr)).toMatchObject({ state: 'ok', header: sampleHeader(), problems: [] })
})

/** Plain conditions: `expect` a million times would take longer than the decoding. */
function check(bytes: Uint8Array): void {
  const unit = decodeUnit(bytes)
  const wrong =
    (unit.state === 'ok' && (unit.header === undefined || !unit.hasHeaderPartition)) ||
    (unit.state === 'newer' && (unit.generation === undefined || unit.problems.length === 0)) ||
    (unit.state === 'damaged' && unit.problems.length === 0) ||
    (unit.header !== undefined && unit.header.unitId !== sampleHeader().unitId) ||
    unit.partitions.some(({ firstLba, sectors }) => firstLba < 1 || sectors < 1)
  if (wrong) throw new Error(`inconsistent: ${JSON.stringify(unit)}`)
}
