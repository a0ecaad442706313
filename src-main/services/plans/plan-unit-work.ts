import { access } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import type { OperationOf, UnitWork } from '#shared/contract/operations.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import type { UnitWorkPlan } from '#main/jobs/kinds/unit-work.ts'
import { buildDomain } from '#main/protocols/domain-xml/build-domain.ts'
import { planDisksLayout } from '#main/protocols/unit/disks-layout.ts'
import { nameOfDevice, withDevice } from '#main/units/devices.ts'
import { requireUnit } from '#main/units/disk.ts'
import { requireEmpty } from '#main/units/empty-guard.ts'
import { describeWrite, planUnitRepair } from '#main/units/repair-unit.ts'
import { findDisk } from '#main/units/unit-disks.ts'
import { now, type ServiceContext } from '../context.ts'
import { readConsoleTemplate } from '../templates/read-template.ts'
import type { PlannedWork } from './planned.ts'

export async function planUnitWork(
  context: ServiceContext,
  input: UnitWork,
  signal: AbortSignal,
): Promise<PlannedWork[]> {
  const { plan, warnings = [], bytesToMove = 0 } = await planOf(context, input, signal)
  return [{ kind: 'unit-work', plan, warnings, bytesToMove }]
}

interface Planned {
  readonly plan: UnitWorkPlan
  readonly warnings?: readonly string[]
  readonly bytesToMove?: number
}

function planOf(context: ServiceContext, input: UnitWork, signal: AbortSignal): Promise<Planned> {
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
): Promise<Planned> {
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
): Promise<Planned> {
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
): Promise<Planned> {
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

async function planWrite(
  context: ServiceContext,
  input: OperationOf<'write-unit'>,
  signal: AbortSignal,
): Promise<Planned> {
  const { device: where, images: paths, name, hardware, stateBytes, isZeroed } = input
  const template = await readConsoleTemplate(
    { kind: 'image', on: 'console', paths, hardware },
    { signal, openSourceFiles: context.openSourceFiles, buildConfiguration: buildDomain },
  )
  const images = template.files.flatMap(({ source, disk }) =>
    disk === undefined
      ? []
      : [{ path: source, index: disk.index, sizeBytes: disk.virtualSizeBytes, format: disk.format }],
  )
  const unit = planDisksLayout({
    contents: 'all',
    memoryBytes: hardware.memoryBytes,
    disks: images,
    ...(stateBytes === undefined ? {} : { stateBytes }),
  }).base
  await withDevice(context.unitDevices, where, 'read', signal, ({ device }) =>
    requireEmpty(device, unit.sizeBytes, signal),
  )
  const vm = { ...template.vm, name, uuid: randomUUID() }
  const disks = images.map(({ index }) => ({ name: `disk${index}`, format: 'raw' as const }))
  const header: UnitHeader = {
    unitId: randomUUID(),
    role: 'base',
    layout: 'disks',
    vm: {
      name,
      uuid: vm.uuid,
      hypervisor: 'qemu',
      memoryBytes: vm.memoryBytes,
      cpus: vm.cpus,
      configuration: buildDomain(vm, disks),
    },
    osType: input.osType,
    disks: [],
    files: [],
    secondaryUnits: [],
    stagedAt: now(),
    stagedFrom: paths.join(', '),
    stagedBy: { product: 'gantry', version: context.productVersion },
    notes: input.notes,
  }
  return {
    plan: { work: 'write', device: where, images, unit, header, isZeroed },
    warnings: [
      `The unit takes ${formatBytes(unit.sizeBytes)} of ${nameOfDevice(where)}.`,
      ...images.flatMap(({ path, format }) =>
        format === 'raw' || format === 'vhd' ? [] : [`${path} is converted by qemu-img first.`],
      ),
    ],
    bytesToMove: images.reduce((sum, { sizeBytes }) => sum + 2 * sizeBytes, 0),
  }
}
