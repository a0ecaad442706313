import type { LunFactsInBand, UnitReport } from '#shared/contract/units.ts'
import type { z } from 'zod'
import type { unitLockStateSchema } from '#shared/contract/units.ts'
import { classifyLun, type LunClass } from '#main/protocols/lun/classify.ts'
import type { LockRecord } from '#main/protocols/unit/lock-record.ts'
import type { OpenedDevice } from '#main/units/devices.ts'
import { readEnds } from '#main/units/disk.ts'
import { readLock, type Locks } from '#main/units/unit-lock.ts'

export interface LunFindings {
  readonly found: LunClass
  readonly sizeBytes: number
  readonly lun?: LunFactsInBand
}

/** What a device is; its two ends are read and nothing else. */
export async function inspectDevice(
  { device, lun }: OpenedDevice,
  signal: AbortSignal,
): Promise<LunFindings> {
  const found = classifyLun(await readEnds(device, signal))
  return { found, sizeBytes: device.sizeBytes, ...(lun === undefined ? {} : { lun }) }
}

export async function reportDevice(
  opened: OpenedDevice,
  locks: Locks,
  signal: AbortSignal,
): Promise<UnitReport> {
  const { device } = opened
  const { found, sizeBytes, lun } = await inspectDevice(opened, signal)
  const common = {
    device: device.name,
    sizeBytes,
    kind: found.kind,
    content: contentOf(found),
    problems: problemsOf(found),
    ...(lun === undefined ? {} : { lun }),
  }
  if (!('unit' in found)) return { ...common, partitions: [] }
  const { partitions, header, generation, state } = found.unit
  return {
    ...common,
    partitions: partitions.map(({ number, type, name, firstLba, sectors }) => ({
      number,
      type,
      firstLba,
      sectors,
      ...(name === undefined ? {} : { name }),
    })),
    ...(header === undefined ? {} : { header }),
    ...(generation === undefined ? {} : { generation }),
    ...(state === 'ok' ? { lock: await toLockState(await readLock(device, signal), locks) } : {}),
  }
}

export const contentOf = (found: LunClass): string[] => {
  if (found.kind === 'boot') return [...found.signs, ...found.content]
  return found.kind === 'other' ? [...found.content] : []
}

export const problemsOf = (found: LunClass): string[] => ('unit' in found ? [...found.unit.problems] : [])

export const toLockState = async (
  record: LockRecord,
  { isGone }: Pick<Locks, 'isGone'>,
): Promise<z.infer<typeof unitLockStateSchema>> =>
  record.state === 'held'
    ? { state: 'held', lock: toLock(record.lock), isGone: await isGone(record.lock) }
    : record

export const toLock = ({
  owner,
  bootId,
  takenAtMs,
}: Extract<LockRecord, { state: 'held' }>['lock']): { owner: string; bootId: string; takenAt: string } => ({
  owner,
  bootId,
  takenAt: new Date(takenAtMs).toISOString(),
})
