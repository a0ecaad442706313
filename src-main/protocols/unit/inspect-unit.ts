import { unitPartitionTypes } from '#shared/domain/unit-layout.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { MiB } from '#shared/units/bytes.ts'
import { decodeBackupGpt, type Gpt } from '../gpt/gpt.ts'
import { planGptRepair } from '../gpt/repair.ts'
import { decodeUnit, unitProbeBytes, withinSize, type Unit } from './unit.ts'

/** The two regions of a disk that tell what it is. */
export interface DiskEnds {
  /** Its first {@link unitProbeBytes}, or all of a smaller disk. */
  readonly first: Uint8Array
  /** Its last {@link lastProbeBytes}, or all of a smaller disk. */
  readonly last: Uint8Array
  readonly sizeBytes: number
}

export const firstProbeBytes = unitProbeBytes
export const lastProbeBytes = MiB

/**
 * As decodeUnit, with what the end of the disk tells: a backup GPT that is damaged or misplaced is a problem, and one
 * that bears our marking keeps a unit whose beginning was wiped from being taken for an empty disk. Never throws.
 */
export function inspectUnit({ first, last, sizeBytes }: DiskEnds): Unit {
  const unit = withinSize(decodeUnit(first), sizeBytes)
  if (unit.state === 'empty') return fromBackup(unit, last, sizeBytes)
  if (unit.table !== 'gpt' || unit.state === 'damaged') return unit
  const problems = gptProblems(first, last, sizeBytes)
  return problems.length === 0 ? unit : { ...unit, problems: [...unit.problems, ...problems] }
}

function gptProblems(first: Uint8Array, last: Uint8Array, sizeBytes: number): readonly string[] {
  try {
    return planGptRepair(first, last, sizeBytes).problems
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return [error.message]
  }
}

function fromBackup(unit: Unit, last: Uint8Array, sizeBytes: number): Unit {
  // A table in order that is not ours was made after ours was given up.
  if (unit.partitions.length > 0) return unit
  const backup = findBackup(last, sizeBytes)
  if (backup?.partitions.some(({ type }) => type === unitPartitionTypes.header) !== true) return unit
  return {
    ...unit,
    state: 'damaged',
    hasHeaderPartition: true,
    problems: ['Its beginning was wiped; the backup GPT at its end still names the unit', ...unit.problems],
    partitions: backup.partitions,
  }
}

/** The backup GPT, when it verifies. */
export function findBackup(last: Uint8Array, sizeBytes: number): Gpt | undefined {
  try {
    return decodeBackupGpt(last, sizeBytes)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return undefined
  }
}
