import { createHash } from 'node:crypto'
import {
  headerPartitionFirstLba,
  headerPartitionOffsetBytes,
  headerPartitionSectors,
  unitPartitionTypes,
} from '#shared/domain/unit-layout.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { sectorBytes } from '#shared/units/bytes.ts'
import { planGptRepair, type DiskWrite, type GptRepair } from '#main/protocols/gpt/repair.ts'
import { repairHeaderCopies } from '#main/protocols/unit/header-partition.ts'
import { inspectUnit, type DiskEnds } from '#main/protocols/unit/inspect-unit.ts'
import { unitProbeBytes, type Unit } from '#main/protocols/unit/unit.ts'
import type { BlockDevice } from '#main/transports/block/block-device.ts'
import { notUsable, readEnds, writeInOrder } from './disk.ts'

export interface UnitRepair {
  readonly problems: readonly string[]
  /** In this order, each durable before the next. Empty: nothing is to be done. */
  readonly writes: readonly DiskWrite[]
  /** What stays wrong. */
  readonly remaining: readonly string[]
  /** Of all writes: a repair is carried out only if it is still the one that was shown. */
  readonly digest: string
}

/**
 * What makes the copies of a unit's partition table and header whole again. Throws not-found (no unit was ever there),
 * not-supported (newer), device-rejected when nothing can be repaired.
 */
export async function planUnitRepair(device: BlockDevice, signal: AbortSignal): Promise<UnitRepair> {
  const repair = await findRepair(device, signal)
  if (repair.writes.length > 0 || repair.remaining.length === 0) return repair
  throw new AppError('device-rejected', 'The unit cannot be repaired from its own copies', {
    object: device.name,
    facts: Object.fromEntries(repair.remaining.map((text, index) => [`problem ${index + 1}`, text])),
    advice: 'Restore it from a snapshot or a copy. Nothing was written.',
  })
}

async function findRepair(device: BlockDevice, signal: AbortSignal): Promise<UnitRepair> {
  const ends = await readEnds(device, signal)
  const unit = inspectUnit(ends)
  if (unit.state === 'empty' || unit.state === 'newer') throw notUsable(device, unit)
  const remaining: string[] = []
  const attempt = <T>(plan: () => T): T | undefined => {
    try {
      return plan()
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      const facts = Object.entries(error.facts).map(([name, text]) => `${name}: ${text}`)
      remaining.push([error.message, ...facts].join('; '))
      return undefined
    }
  }
  const table = attempt(() => planTable(ends, unit))
  const header = attempt(() => planHeader(ends))
  const writes = [...(table?.writes ?? []), ...(header === undefined ? [] : [header])]
  const problems = [...new Set([...unit.problems, ...(table?.problems ?? [])])]
  return { problems, writes, remaining, digest: digestOf(writes) }
}

function planHeader({ first }: DiskEnds): DiskWrite | undefined {
  const repair = repairHeaderCopies(first.subarray(headerPartitionOffsetBytes, unitProbeBytes))
  if (repair === undefined) return undefined
  return {
    offsetBytes: headerPartitionOffsetBytes + repair.offsetBytes,
    bytes: repair.bytes,
    what: `${repair.offsetBytes === 0 ? 'first' : 'second'} copy of the header`,
  }
}

/** undefined: the unit has an MBR, which has no copy. */
function planTable({ first, last, sizeBytes }: DiskEnds, { table }: Unit): GptRepair | undefined {
  if (table === 'mbr') return undefined
  const repair = planGptRepair(first, last, sizeBytes)
  const isOurs = repair.partitions.some(
    ({ type, firstLba, sectors }) =>
      type === unitPartitionTypes.header &&
      firstLba === headerPartitionFirstLba &&
      sectors === headerPartitionSectors,
  )
  if (!isOurs)
    throw new AppError('device-rejected', `The ${repair.source} GPT verifies, but it is not that of a unit`)
  return repair
}

/** Throws stale when it is no longer what was planned, device-rejected when the device does not hold it afterwards. */
export async function applyUnitRepair(
  device: BlockDevice,
  digest: string,
  signal: AbortSignal,
): Promise<void> {
  const { writes } = await planUnitRepair(device, signal)
  if (writes.length > 0 && digestOf(writes) !== digest)
    throw new AppError('stale', 'The unit is not what it was when the repair was shown', {
      object: device.name,
      advice: 'Show the plan again: gantry unit repair --plan.',
    })
  await writeInOrder(device, writes, signal)
  const after = await findRepair(device, signal)
  if (after.writes.length > 0)
    throw new AppError('device-rejected', 'The device does not hold what was written to it', {
      object: device.name,
      facts: { found: after.problems.join('; ') },
      effect: 'done',
    })
}

function digestOf(writes: readonly DiskWrite[]): string {
  const hash = createHash('sha256')
  for (const { offsetBytes, bytes } of writes) hash.update(`${offsetBytes} ${bytes.length}\n`).update(bytes)
  return hash.digest('hex')
}

/** "write 16896 bytes at sector 2015: backup GPT". */
export const describeWrite = ({ offsetBytes, bytes, what }: DiskWrite): string =>
  `write ${bytes.length} bytes at sector ${offsetBytes / sectorBytes}: ${what}`
