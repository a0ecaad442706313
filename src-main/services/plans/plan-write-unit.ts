import { randomUUID } from 'node:crypto'
import type { OperationOf } from '#shared/contract/operations.ts'
import type { Template } from '#shared/domain/compute.ts'
import type { UnitDevice } from '#shared/domain/unit-device.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import type { PlannedWrite } from '#main/jobs/kinds/unit-steps.ts'
import type { UnitWorkPlan } from '#main/jobs/kinds/unit-work.ts'
import { buildDomain } from '#main/protocols/domain-xml/build-domain.ts'
import { planDisksLayout, type PlannedUnit } from '#main/protocols/unit/disks-layout.ts'
import { nameOfDevice, withDevice } from '#main/units/devices.ts'
import { requireEmpty } from '#main/units/empty-guard.ts'
import { now, type ServiceContext } from '../context.ts'
import { readConsoleTemplate } from '../templates/read-template.ts'

export interface PlannedUnitWork {
  readonly plan: UnitWorkPlan
  readonly warnings?: readonly string[]
  readonly bytesToMove?: number
}

type Input = OperationOf<'write-unit'>
type Image = PlannedWrite['images'][number]

/** A VM's base unit, and one unit for each disk that gets a LUN of its own (B2-B4). */
export async function planWrite(
  context: ServiceContext,
  input: Input,
  signal: AbortSignal,
): Promise<PlannedUnitWork> {
  const { device: where, images: paths, hardware, stateBytes, isZeroed } = input
  const template = await readConsoleTemplate(
    { kind: 'image', on: 'console', paths, hardware },
    { signal, openSourceFiles: context.openSourceFiles, buildConfiguration: buildDomain },
  )
  const images = template.files.flatMap(({ source, disk }): Image[] =>
    disk === undefined
      ? []
      : [{ path: source, index: disk.index, sizeBytes: disk.virtualSizeBytes, format: disk.format }],
  )
  const places = placesOf(input, images)
  const { base, secondaries } = planDisksLayout({
    contents: images.map(({ index }) => index).filter((index) => !places.has(index)),
    memoryBytes: hardware.memoryBytes,
    disks: images,
    ...(stateBytes === undefined ? {} : { stateBytes }),
  })
  const identities = new Set(await requireUsable(context, where, base, signal))
  const units: (PlannedWrite & { readonly scsiId: string })[] = []
  const header = describeVm(context, input, template.vm, images)
  for (const unit of secondaries) {
    const own = images.filter(({ index }) => holds(unit, index))
    const device = places.get(own[0]?.index ?? -1)
    if (device === undefined) throw new AppError('bug', 'A secondary unit has no place')
    const [scsiId, ...others] = await requireUsable(context, device, unit, signal)
    if (scsiId === undefined) throw withoutName(device)
    if ([scsiId, ...others].some((id) => identities.has(id))) throw sameLun(device, scsiId)
    for (const id of [scsiId, ...others]) identities.add(id)
    units.push({ device, images: own, unit, isZeroed, scsiId, header: { ...header, unitId: randomUUID() } })
  }
  const inBase = images.filter(({ index }) => holds(base, index))
  const secondaryUnits = units.flatMap(({ images: own, scsiId }) =>
    own.map(({ index }) => ({ scsiId, index })),
  )
  const plan: UnitWorkPlan = {
    work: 'write',
    device: where,
    images: inBase,
    unit: base,
    header: { ...header, secondaryUnits },
    isZeroed,
    ...(units.length === 0 ? {} : { secondaries: units }),
  }
  return {
    plan,
    warnings: [
      ...[plan, ...units].map(
        ({ unit, device }) => `The unit takes ${formatBytes(unit.sizeBytes)} of ${nameOfDevice(device)}.`,
      ),
      ...images.flatMap(({ path, format }) =>
        format === 'raw' || format === 'vhd' ? [] : [`${path} is converted by qemu-img first.`],
      ),
    ],
    bytesToMove: images.reduce((sum, { sizeBytes }) => sum + 2 * sizeBytes, 0),
  }
}

const holds = ({ partitions }: PlannedUnit, index: number): boolean =>
  partitions.some(({ disk }) => disk?.index === index)

/** The LUNs of the disks that get one of their own. Throws bad-request. */
function placesOf({ device, secondaries }: Input, images: readonly Image[]): Map<number, UnitDevice> {
  const places = new Map<number, UnitDevice>()
  for (const { index, target, lun } of secondaries) {
    if (device.kind === 'file') throw withoutName(device)
    if (places.has(index) || !images.some((image) => image.index === index))
      throw new AppError('bad-request', `The disk ${index} of a secondary unit is none, or is named twice`, {
        facts: { disks: images.map((image) => image.index).join(', ') },
        advice: 'Disks are counted from 0, in the order of the images.',
      })
    places.set(index, { ...device, target, lun })
  }
  return places
}

/** The names of the LUN. Throws as requireEmpty. */
const requireUsable = (
  { unitDevices }: ServiceContext,
  where: UnitDevice,
  { sizeBytes }: PlannedUnit,
  signal: AbortSignal,
): Promise<readonly string[]> =>
  withDevice(unitDevices, where, 'read', signal, async ({ device, lun }) => {
    await requireEmpty(device, sizeBytes, signal)
    return lun?.scsiIds ?? []
  })

const withoutName = (device: UnitDevice): AppError =>
  new AppError(
    'not-supported',
    'A base unit names its secondary units by their SCSI identity; there is none',
    {
      object: nameOfDevice(device),
      advice:
        'Put secondary units on LUNs that have a worldwide name (VPD page 83h), or all disks into one unit.',
    },
  )

const sameLun = (device: UnitDevice, scsiId: string): AppError =>
  new AppError('bad-request', 'Two units of the VM were to be written to the same LUN', {
    object: nameOfDevice(device),
    facts: { identity: scsiId },
    advice: 'Give each of them a LUN of its own.',
  })

/** The same in every unit of the VM, but for the unit's id; the writing adds role and disks. */
function describeVm(
  context: ServiceContext,
  { name, osType, notes, ...input }: Input,
  hardware: Template['vm'],
  images: readonly Image[],
): UnitHeader {
  const vm = { ...hardware, name, uuid: randomUUID() }
  const disks = images.map(({ index }) => ({ name: `disk${index}`, format: 'raw' as const }))
  return {
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
    osType,
    disks: [],
    files: [],
    secondaryUnits: [],
    stagedAt: now(),
    stagedFrom: input.images.join(', '),
    stagedBy: { product: 'gantry', version: context.productVersion },
    notes,
  }
}
