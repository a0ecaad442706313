import { randomUUID } from 'node:crypto'
import type { OperationOf } from '#shared/contract/operations.ts'
import type { Template } from '#shared/domain/compute.ts'
import { loginOfArray, type ObjectRef } from '#shared/domain/storage.ts'
import { chapOf } from '#shared/domain/unit-device.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { StageDisksPlan } from '#main/jobs/kinds/stage-disks.ts'
import { buildDomain } from '#main/protocols/domain-xml/build-domain.ts'
import { planDisksLayout } from '#main/protocols/unit/disks-layout.ts'
import { now, type ServiceContext } from '../context.ts'
import { readConsoleTemplate } from '../templates/read-template.ts'
import { restoreLostLuns } from './lost-luns.ts'
import type { PlannedWork } from './planned.ts'
import { requireFreeName, requireLunNumbers, requireSpace, volumeOf } from './volume-checks.ts'

type Input = OperationOf<'stage-disks'>

/** Images of this computer -> a container of the layout `disks`; no host takes part. Its size is known to the byte. */
export async function planStageDisks(
  context: ServiceContext,
  input: Input,
  signal: AbortSignal,
): Promise<PlannedWork[]> {
  const array = context.devices.array(input.array)
  const container: ObjectRef = { volume: input.volume, kind: 'container', name: input.container }
  const [volumes, taken, luns, template] = await Promise.all([
    array.listVolumes(signal),
    array.findObject(container, signal),
    array.listLuns(signal),
    readSource(input, signal),
  ])
  context.store.volumes.replaceAll(input.array, volumes)
  const volume = volumeOf(volumes, input.volume, input.array)
  requireFreeName(input, taken)
  requireLunNumbers(volume, 1)
  const bytesToMove = template.files.reduce((sum, file) => sum + file.sizeBytes, 0)
  requireSpace(volume, bytesToMove, template.name)

  const images = template.files.flatMap(({ source, disk }) =>
    disk === undefined
      ? []
      : [{ path: source, index: disk.index, sizeBytes: disk.virtualSizeBytes, format: disk.format }],
  )
  const unit = planDisksLayout({
    contents: 'all',
    memoryBytes: template.vm.memoryBytes,
    disks: images,
    alignmentBytes: array.alignmentBytes,
  }).base
  const identity = array.newIdentity(`stage-${input.container}`.slice(0, 63))
  const lun = array.addressOf(identity, input.portal)
  const { initiatorName } = context
  const plan: StageDisksPlan = {
    array: input.array,
    container,
    lun,
    initiator: initiatorName,
    write: {
      device: {
        kind: 'iscsi',
        portal: lun.portal,
        target: lun.target,
        lun: lun.lun,
        initiatorName,
        ...chapOf(loginOfArray(array.config)),
      },
      images,
      unit,
      header: describeUnit(context, input, template),
      isZeroed: true,
    },
  }
  return [
    ...restoreLostLuns(context, input.array, luns),
    { kind: 'stage-disks', plan, warnings: template.warnings, bytesToMove },
  ]
}

async function readSource({ source }: Input, signal: AbortSignal): Promise<Template> {
  if (source.kind === 'domain' || source.on === 'host')
    throw new AppError('bad-request', 'Disks are staged from files of this computer', {
      advice: 'Give --image or --folder, or stage it as files on its host: --layout files --host NAME.',
    })
  if (source.kind === 'ovf')
    throw new AppError('not-supported', 'An OVF package is not staged as disks yet', {
      object: source.path,
      advice:
        'Unpack it and stage its images with --image, or stage it as files: --layout files --host NAME.',
    })
  return readConsoleTemplate(source, { signal, buildConfiguration: buildDomain })
}

/** The writing adds the disks with their checksums. */
const describeUnit = (context: ServiceContext, input: Input, { vm, ...template }: Template): UnitHeader => ({
  unitId: randomUUID(),
  role: 'base',
  layout: 'disks',
  vm: {
    name: vm.name,
    ...(vm.uuid === undefined ? {} : { uuid: vm.uuid }),
    hypervisor: 'libvirt',
    memoryBytes: vm.memoryBytes,
    cpus: vm.cpus,
    configuration: template.configuration,
  },
  osType: input.osType,
  disks: [],
  files: [],
  secondaryUnits: [],
  stagedAt: now(),
  stagedFrom: `${template.files.map(({ source }) => source).join(', ')} on the console`,
  stagedBy: { product: 'Gantry', version: context.productVersion },
  notes: input.notes,
})
