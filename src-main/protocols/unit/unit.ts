import type { UnitHeader } from '#shared/domain/unit-header.ts'
import {
  headerPartitionBytes,
  headerPartitionFirstLba,
  headerPartitionOffsetBytes,
  headerPartitionSectors,
  unitPartitionTypes,
} from '#shared/domain/unit-layout.ts'
import { sectorBytes } from '#shared/units/bytes.ts'
import { decodeHeaderPartition } from './header-partition.ts'
import type { HeaderPartition } from './header-partition.ts'
import { decodePartitionTable } from './partition-table.ts'
import type { PartitionTable, UnitPartition } from './partition-table.ts'

/** How much of a container file or LUN {@link decodeUnit} looks at. */
export const unitProbeBytes = headerPartitionOffsetBytes + headerPartitionBytes

export interface Unit {
  /**
   * ok: marked by the partition table and a copy of the header verifies. newer: the same, but of a format that this
   * Gantry does not know. damaged: marked, or once marked, and something does not verify. empty: not a unit.
   */
  readonly state: 'ok' | 'newer' | 'damaged' | 'empty'
  /** What is wrong, in sentences; also when the state is ok by the second copy. */
  readonly problems: readonly string[]
  readonly table: PartitionTable['kind']
  readonly hasHeaderPartition: boolean
  readonly partitions: readonly UnitPartition[]
  /** Also of a damaged unit, when the header itself verifies. */
  readonly header?: UnitHeader
  readonly generation?: number
}

/**
 * What a container file or LUN says of itself (A8, B3, B12), mounting nothing.
 * @param firstBytes its first {@link unitProbeBytes}; fewer are taken as a unit that is cut off. Never throws.
 */
export function decodeUnit(firstBytes: Uint8Array): Unit {
  const table = decodePartitionTable(firstBytes)
  const header = decodeHeaderPartition(firstBytes.subarray(headerPartitionOffsetBytes, unitProbeBytes))
  const problems = [...tableProblems(table), ...markingProblems(table, header), ...header.problems]
  return {
    state: stateOf(table, header),
    problems,
    table: table.kind,
    hasHeaderPartition: table.marked,
    partitions: table.partitions,
    ...(header.state === 'ok' && { header: header.header }),
    ...((header.state === 'ok' || header.state === 'newer') && { generation: header.generation }),
  }
}

/**
 * The same unit, damaged when the file or LUN that it was read from ends before its last partition does: somebody cut
 * it off, or copied only a part of it.
 */
export function withinSize(unit: Unit, sizeBytes: number): Unit {
  const neededBytes = Math.max(
    0,
    ...unit.partitions.map(({ firstLba, sectors }) => (firstLba + sectors) * sectorBytes),
  )
  if (unit.state === 'empty' || sizeBytes >= neededBytes) return unit
  const problem = `It is cut off: its partitions need ${neededBytes} bytes, and it has ${sizeBytes}`
  return { ...unit, state: 'damaged', problems: [problem, ...unit.problems] }
}

function stateOf(table: PartitionTable, header: HeaderPartition): Unit['state'] {
  const tableLost = table.kind === 'none' || table.problem !== undefined
  if (!table.marked) return tableLost && header.state !== 'empty' ? 'damaged' : 'empty'
  if (table.problem !== undefined || misplaced(table) !== undefined) return 'damaged'
  return header.state === 'empty' ? 'damaged' : header.state
}

const misplaced = (table: PartitionTable): UnitPartition | undefined =>
  table.partitions.find(
    ({ type, firstLba, sectors }) =>
      type === unitPartitionTypes.header &&
      (firstLba !== headerPartitionFirstLba || sectors !== headerPartitionSectors),
  )

const tableProblems = ({ problem }: PartitionTable): string[] =>
  problem === undefined ? [] : [`The partition table is damaged: ${problem}`]

function markingProblems(table: PartitionTable, header: HeaderPartition): string[] {
  const wrong = misplaced(table)
  if (wrong !== undefined)
    return [
      `The header partition (number ${wrong.number}) has ${wrong.sectors} sectors from LBA ${wrong.firstLba}; it must have ${headerPartitionSectors} from LBA ${headerPartitionFirstLba}`,
    ]
  if (table.marked) return header.state === 'empty' ? ['The header partition holds no header'] : []
  if (header.state === 'empty') return []
  return table.kind === 'none'
    ? ['A unit header lies at 1 MiB, but there is no partition table']
    : ['A unit header lies at 1 MiB, but the partition table names no header partition']
}
