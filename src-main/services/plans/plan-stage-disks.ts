import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OperationOf } from '#shared/contract/operations.ts'
import type { ConsolePlace, Template } from '#shared/domain/compute.ts'
import { placeForOthers, placeOfFiles } from '#shared/domain/place.ts'
import { loginWayOf } from '#shared/domain/unit-device.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { PlannedFetch } from '#main/jobs/kinds/fetch-steps.ts'
import type { StageDisksPlan } from '#main/jobs/kinds/stage-disks.ts'
import { buildDomain } from '#main/protocols/domain-xml/build-domain.ts'
import { planDisksLayout } from '#main/protocols/unit/disks-layout.ts'
import { now, type ServiceContext } from '../context.ts'
import { requireRoom } from '../templates/image-content.ts'
import { readConsoleTemplate } from '../templates/read-template.ts'
import { findPlace } from './new-container.ts'
import type { PlannedWork } from './planned.ts'
import { requireSpace } from './volume-checks.ts'

type Input = OperationOf<'stage-disks'>

/** Images that the console reads -> a container of the layout `disks`; no host takes part. Its size is known to the byte. */
export async function planStageDisks(
  context: ServiceContext,
  input: Input,
  signal: AbortSignal,
): Promise<PlannedWork[]> {
  const place = placeOf(input)
  const [{ array, container, volume, lunAt, restores }, template] = await Promise.all([
    findPlace(context, input, signal),
    readConsoleTemplate(input.source, {
      signal,
      openSourceFiles: context.openSourceFiles,
      buildConfiguration: buildDomain,
    }),
  ])
  const bytesToMove = requireSpace(volume, template)

  const unitId = randomUUID()
  const fetch = await planFetch(template, place, { unitId, bytesToMove })
  const images = template.files.flatMap(({ source, disk }, file) =>
    disk === undefined
      ? []
      : [
          {
            path: fetch?.images[file]?.path ?? source,
            index: disk.index,
            sizeBytes: disk.virtualSizeBytes,
            format: disk.format,
          },
        ],
  )
  const unit = planDisksLayout({
    contents: 'all',
    memoryBytes: template.vm.memoryBytes,
    disks: images,
    alignmentBytes: array.alignmentBytes,
  }).base
  const lun = lunAt(input.portal)
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
        ...loginWayOf(array.config),
      },
      images,
      unit,
      header: describeUnit(context, input, { template, place, unitId }),
      isZeroed: true,
    },
    ...(fetch === undefined ? {} : { fetch }),
  }
  return [
    ...restores,
    {
      kind: 'stage-disks',
      plan,
      warnings: template.warnings,
      bytesToMove: fetch === undefined ? bytesToMove : 2 * bytesToMove,
    },
  ]
}

function placeOf({ source }: Input): ConsolePlace {
  if (source.kind === 'domain' || source.on === 'host')
    throw new AppError('bad-request', 'Disks are staged from files that this computer reads', {
      advice:
        'Give --image, --folder or --ovf, or stage it as files on its host: --layout files --host NAME.',
    })
  return source.on
}

/** What is no file of its own on this computer comes here first: disks are read at any place and more than once. */
async function planFetch(
  template: Template,
  place: ConsolePlace,
  { unitId, bytesToMove }: { readonly unitId: string; readonly bytesToMove: number },
): Promise<PlannedFetch | undefined> {
  if (place === 'console' && template.source.kind !== 'ovf') return undefined
  await requireRoom(tmpdir(), template.name, bytesToMove)
  const folder = join(tmpdir(), `gantry-fetch-${unitId}`)
  return {
    template,
    from: placeOfFiles(place),
    folder,
    images: template.files.map((file) => ({ file, path: join(folder, file.name) })),
  }
}

/** The writing adds the disks with their checksums. */
const describeUnit = (
  context: ServiceContext,
  input: Input,
  {
    template: { vm, ...template },
    place,
    unitId,
  }: { readonly template: Template; readonly place: ConsolePlace; readonly unitId: string },
): UnitHeader => ({
  unitId,
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
  stagedFrom: `${template.files.map(({ source }) => source).join(', ')} on ${placeForOthers(place)}`,
  stagedBy: { product: 'Gantry', version: context.productVersion },
  notes: input.notes,
})
