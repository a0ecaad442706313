import { headerPartitionBytes } from '#shared/domain/unit-layout.ts'
import { placeForOthers } from '#shared/domain/place.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import type { FileChecksum, HostDriver } from '#main/drivers/hosts/contract.ts'
import { encodeHeaderPartition } from '#main/protocols/unit/header-partition.ts'
import { unitFilesOf } from '#main/drivers/unit-files.ts'
import type { Step } from '../step.ts'
import { hostTarget } from './lun-steps.ts'
import type { StagePlan } from './stage.ts'

/** The last thing that is written: a container without a valid header cannot be deployed (A8). */
export function headerStep(host: HostDriver, plan: StagePlan): Step {
  const preview = unitFilesOf(host).writeHeader(plan.lun, new Uint8Array(headerPartitionBytes))
  return {
    id: 'write-header',
    title: 'Write the self-description into the header partition, twice',
    target: hostTarget(host),
    weight: 0.05,
    commands: [...preview.commands],
    undoCommands: [],
    observe: async () => 'partial',
    async apply(context) {
      const checksums = context.resultOf('verify') as unknown as FileChecksum[]
      const fileSystemUuid = context.resultOf('prepare') as string
      const header = describeUnit(plan, checksums, fileSystemUuid)
      const bytes = encodeHeaderPartition({ unitId: plan.unitId, generation: 1, header })
      await unitFilesOf(host).writeHeader(plan.lun, bytes).run({ signal: context.signal })
    },
  }
}

function describeUnit(
  plan: StagePlan,
  checksums: readonly FileChecksum[],
  fileSystemUuid: string,
): UnitHeader {
  const { template } = plan
  const sha256Of = (name: string): string | undefined => checksums.find((file) => file.name === name)?.sha256
  return {
    unitId: plan.unitId,
    role: 'container',
    layout: 'files',
    vm: {
      name: template.vm.name,
      ...(template.vm.uuid === undefined ? {} : { uuid: template.vm.uuid }),
      hypervisor: 'libvirt',
      memoryBytes: template.vm.memoryBytes,
      cpus: template.vm.cpus,
      configuration: template.configuration,
    },
    osType: plan.osType,
    fileSystem: { ...plan.fileSystem, uuid: fileSystemUuid },
    disks: plan.files.flatMap((file) => {
      if (file.source.disk === undefined) return []
      const { index, format, virtualSizeBytes } = file.source.disk
      const sha256 = sha256Of(file.name)
      return [
        {
          index,
          format: file.converted ? ('qcow2' as const) : format,
          path: file.name,
          sizeBytes: virtualSizeBytes,
          ...(sha256 === undefined ? {} : { sha256 }),
        },
      ]
    }),
    files: checksums.map(({ name, sizeBytes, sha256 }) => ({ path: name, sizeBytes, sha256 })),
    secondaryUnits: [],
    stagedAt: plan.stagedAt,
    stagedFrom: sourceText(plan),
    stagedBy: { product: 'Gantry', version: plan.productVersion },
    notes: plan.notes,
  }
}

function sourceText({ template, host }: StagePlan): string {
  const { source } = template
  if (source.kind === 'domain') return `VM ${source.domain} on host ${host}`
  const where = source.on === 'host' ? `host ${host}` : placeForOthers(source.on)
  return source.kind === 'image'
    ? `image ${source.paths.join(', ')} on ${where}`
    : `${source.kind} ${source.path} on ${where}`
}
