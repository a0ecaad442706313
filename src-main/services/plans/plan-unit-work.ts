import { access } from 'node:fs/promises'
import type { OperationOf, UnitWork } from '#shared/contract/operations.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { withDevice } from '#main/units/devices.ts'
import { requireUnit } from '#main/units/disk.ts'
import { describeWrite, planUnitRepair } from '#main/units/repair-unit.ts'
import { findDisk } from '#main/units/unit-disks.ts'
import type { ServiceContext } from '../context.ts'
import { planWrite, type PlannedUnitWork } from './plan-write-unit.ts'
import type { PlannedWork } from './planned.ts'

export async function planUnitWork(
  context: ServiceContext,
  input: UnitWork,
  signal: AbortSignal,
): Promise<PlannedWork[]> {
  const { plan, warnings = [], bytesToMove = 0 } = await planOf(context, input, signal)
  return [{ kind: 'unit-work', plan, warnings, bytesToMove }]
}

function planOf(context: ServiceContext, input: UnitWork, signal: AbortSignal): Promise<PlannedUnitWork> {
  switch (input.kind) {
    case 'verify-unit':
      return planVerify(context, input, signal)
    case 'export-disk':
      return planExport(context, input, signal)
    case 'repair-unit':
      return planRepair(context, input, signal)
    case 'write-unit':
      return planWrite(context, input, signal)
  }
}

async function planVerify(
  { unitDevices }: ServiceContext,
  { device: where }: OperationOf<'verify-unit'>,
  signal: AbortSignal,
): Promise<PlannedUnitWork> {
  return withDevice(unitDevices, where, 'read', signal, async ({ device }) => {
    const { unit, header } = await requireUnit(device, signal)
    const regions = header.disks.map(({ index }) => findDisk(unit, index, device.name))
    const known = regions.filter(({ disk }) => disk.sha256 !== undefined)
    if (known.length === 0)
      throw new AppError('not-supported', 'The header has no checksum of a disk', { object: device.name })
    const disks = known.map(({ disk, sizeBytes }) => ({ index: disk.index, sizeBytes }))
    return {
      plan: { work: 'verify', device: where, disks },
      warnings: [
        ...unit.problems,
        ...header.secondaryUnits.map(
          ({ index, scsiId }) => `Disk ${index} is on a LUN of its own, ${scsiId}: verify that one too.`,
        ),
        ...regions.flatMap(({ disk }) =>
          disk.sha256 === undefined ? [`Disk ${disk.index} has no checksum and is not verified.`] : [],
        ),
      ],
      bytesToMove: disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    }
  })
}

async function planExport(
  { unitDevices }: ServiceContext,
  { device: where, disk: index, path }: OperationOf<'export-disk'>,
  signal: AbortSignal,
): Promise<PlannedUnitWork> {
  const isThere = await access(path).then(
    () => true,
    () => false,
  )
  if (isThere)
    throw new AppError('bad-request', `"${path}" is there already`, {
      object: path,
      advice: 'Choose another name: nothing is written over.',
    })
  return withDevice(unitDevices, where, 'read', signal, async ({ device }) => {
    const { unit } = await requireUnit(device, signal)
    const { sizeBytes } = findDisk(unit, index, device.name)
    return {
      plan: { work: 'export', device: where, disk: { index, sizeBytes }, path },
      warnings: unit.problems,
      bytesToMove: sizeBytes,
    }
  })
}

async function planRepair(
  { unitDevices }: ServiceContext,
  { device: where }: OperationOf<'repair-unit'>,
  signal: AbortSignal,
): Promise<PlannedUnitWork> {
  return withDevice(unitDevices, where, 'read', signal, async ({ device }) => {
    const { problems, writes, remaining, digest } = await planUnitRepair(device, signal)
    return {
      plan: { work: 'repair', device: where, digest, writes: writes.map(describeWrite) },
      warnings: [
        ...problems,
        ...remaining.map((problem) => `This stays as it is: ${problem}`),
        ...(writes.length === 0 ? ['Nothing is damaged; there is nothing to repair.'] : []),
      ],
    }
  })
}
