import { randomUUID } from 'node:crypto'
import type { OperationOf } from '#shared/contract/operations.ts'
import { containerHolds, containerSize, type ContainerContent } from '#shared/domain/container-size.ts'
import { grownImageBytes, roomFor } from '#shared/domain/image-growth.ts'
import { portalOnHost, type Template, type TemplateFile } from '#shared/domain/compute.ts'
import { needsConversion } from '#main/protocols/images/container-disk.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes, MiB, roundUp } from '#shared/units/bytes.ts'
import type { HostDriver } from '#main/drivers/hosts/contract.ts'
import type { StagedFile, StagePlan } from '#main/jobs/kinds/stage.ts'
import { factsOfHost, now, type ServiceContext } from '../context.ts'
import { findPlace } from './new-container.ts'
import type { PlannedWork } from './planned.ts'
import { requireSpace } from './volume-checks.ts'

type Input = OperationOf<'stage'>

/** Reads template, array and host and chooses every name, size and id (A1). Sends nothing that changes anything. */
export async function planStage(
  context: ServiceContext,
  input: Input,
  signal: AbortSignal,
): Promise<PlannedWork[]> {
  const host = context.devices.host(input.host)
  const [{ array, container, volume, lunAt, restores }, facts, template] = await Promise.all([
    findPlace(context, input, signal),
    factsOfHost(context, input.host, signal),
    context.readTemplate(input.host, input.source, signal),
  ])
  if (!facts.fileSystems.includes(input.fileSystem)) throw cannotFormat(host, input.fileSystem)
  const size = sizeOf(input, template, array.alignmentBytes)
  const bytesToMove = requireSpace(volume, template)
  const plan: StagePlan = {
    array: input.array,
    host: input.host,
    container,
    sizeBytes: size,
    unitId: randomUUID(),
    osType: input.osType,
    fileSystem: { type: input.fileSystem, uuid: randomUUID(), label: 'gantry' },
    partitionTable: input.partitionTable,
    template,
    files: template.files.map(stagedFile),
    lun: lunAt(portalOnHost(host.config, input.array)),
    initiator: facts.initiatorName,
    stagedAt: now(),
    productVersion: context.productVersion,
    notes: input.notes,
  }
  return [
    ...restores,
    {
      kind: 'stage',
      plan,
      warnings: [...template.warnings, ...osTypeWarning(input, facts.osType)],
      bytesToMove,
    },
  ]
}

/** VMDK and VHDX are formats that the hypervisor does not run from. */
function stagedFile(source: TemplateFile): StagedFile {
  const converted = source.disk !== undefined && needsConversion(source.disk.format)
  return {
    source,
    converted,
    name: converted ? source.name.replace(/\.[a-z0-9]+$/i, '') + '.qcow2' : source.name,
  }
}

function sizeOf(input: Input, template: Template, alignmentBytes: number): number {
  const content: ContainerContent = {
    files: [
      ...template.files.flatMap((file) => {
        if (!stagedFile(file).converted || file.disk === undefined) return [roomFor(file)]
        const { virtualSizeBytes } = file.disk
        return [{ sizeBytes: file.sizeBytes }, { sizeBytes: grownImageBytes('qcow2', virtualSizeBytes) }]
      }),
      { sizeBytes: new TextEncoder().encode(template.configuration.text).length },
    ],
    fileSystem: input.fileSystem,
    headroomPercent: input.headroomPercent,
  }
  if (input.sizeBytes === undefined) return containerSize({ ...content, alignmentBytes }).sizeBytes
  if (containerHolds(input.sizeBytes, { ...content, headroomPercent: 0 }))
    return roundUp(input.sizeBytes, alignmentBytes)
  const least = containerSize({ ...content, headroomPercent: 0, alignmentBytes })
  throw new AppError(
    'bad-request',
    `A container of ${formatBytes(input.sizeBytes)} is too small for this template`,
    {
      object: `container ${input.container}`,
      facts: { 'VM data': formatBytes(least.parts.dataBytes), 'at least': formatBytes(least.sizeBytes) },
      advice: `Use --size ${Math.ceil(least.sizeBytes / MiB)}M or more, or leave it out.`,
    },
  )
}

const cannotFormat = (host: HostDriver, fileSystem: string): AppError =>
  new AppError('not-supported', `The host cannot make ${fileSystem} file systems`, {
    object: `host ${host.config.name}`,
    advice: `Install the tools for ${fileSystem} there and run "gantry host probe ${host.config.name}", or choose another file system.`,
  })

const osTypeWarning = (input: Input, hostOsType: string): string[] =>
  input.osType === hostOsType
    ? []
    : [
        `The container is for hosts of type ${input.osType}; the staging host is ${hostOsType} and will not be able to deploy it.`,
      ]
