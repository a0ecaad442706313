import type { Template, TemplateFile } from '#shared/domain/compute.ts'
import { loginOfArray } from '#shared/domain/storage.ts'
import type { FileSystemType, LunAddress, ObjectRef, OsType } from '#shared/domain/storage.ts'
import type { Devices } from '#main/drivers/devices.ts'
import type { PartitionTable } from '#main/drivers/hosts/contract.ts'
import { unitFilesOf } from '#main/drivers/unit-files.ts'
import type { JobKind, Step } from '../step.ts'
import { deviceStep, recordStep } from './device-step.ts'
import {
  attachStep,
  createContainerStep,
  hostTarget,
  mappedLunStep,
  mountStep,
  takeOfflineSteps,
} from './lun-steps.ts'
import type { InventoryRecords } from './records.ts'
import { copySteps, type OpenTemplateFile } from './stage-copy.ts'
import { headerStep } from './stage-header.ts'

export interface StagePlan {
  array: string
  host: string
  container: ObjectRef
  sizeBytes: number
  unitId: string
  osType: OsType
  fileSystem: { type: FileSystemType; uuid: string; label: string }
  partitionTable: PartitionTable
  template: Template
  /** The files as they will lie in the container, in the order of template.files, converted where `convertFrom` says so. */
  files: StagedFile[]
  lun: LunAddress
  initiator: string
  stagedAt: string
  productVersion: string
  notes: string
}

export interface StagedFile {
  source: TemplateFile
  /** Name in the container; differs from source.name when it is converted. */
  name: string
  converted: boolean
}

export interface StageDependencies {
  readonly devices: Devices
  readonly records: InventoryRecords
  readonly openTemplateFile: OpenTemplateFile
}

/** Template -> container; the LUN is there for the time of staging only (A1-A8). */
export function stageKind({ devices, records, openTemplateFile }: StageDependencies): JobKind<StagePlan> {
  return {
    name: 'stage',
    afterRestart: 'undo',
    onFailure: 'undo',
    title: (plan) =>
      `Stage ${plan.template.name} into container ${plan.container.name} on array ${plan.array}`,
    resources: (plan) => [`container/${plan.array}/${plan.container.volume}/${plan.container.name}`],
    steps: (plan, jobId) => {
      const array = devices.array(plan.array)
      const host = devices.host(plan.host)
      const lunContext = {
        array,
        host,
        records,
        lun: plan.lun,
        backing: plan.container,
        osType: plan.osType,
        initiator: plan.initiator,
      }
      const steps: Step[] = [
        createContainerStep(array, plan.container, plan.sizeBytes, jobId),
        mappedLunStep(lunContext),
        attachStep(lunContext),
        deviceStep({
          id: 'prepare',
          title: `Partition (${plan.partitionTable.toUpperCase()}) and format with ${plan.fileSystem.type}, once`,
          target: hostTarget(host),
          weight: 0.3,
          action: unitFilesOf(host).prepareUnit({
            lun: plan.lun,
            login: loginOfArray(array.config),
            unitId: plan.unitId,
            partitionTable: plan.partitionTable,
            fileSystem: plan.fileSystem.type,
            fileSystemUuid: plan.fileSystem.uuid,
            label: plan.fileSystem.label,
          }),
          observe: async () => 'partial',
          result: (prepared) => prepared.fileSystemUuid,
        }),
        mountStep(host, plan.lun, { fileSystem: plan.fileSystem.type }),
        ...copySteps(host, plan, openTemplateFile),
        headerStep(host, plan),
        ...takeOfflineSteps(lunContext),
        recordStep(
          'record',
          `Record container ${plan.container.name} in the inventory`,
          () => {
            records.putTemplate(plan.host, plan.template)
            records.putContainer({
              array: plan.array,
              volume: plan.container.volume,
              name: plan.container.name,
              sizeBytes: plan.sizeBytes,
              state: 'ok',
              staged: {
                unitId: plan.unitId,
                osType: plan.osType,
                fileSystem: plan.fileSystem.type,
                templateName: plan.template.vm.name,
                stagedAt: plan.stagedAt,
              },
              learntAt: plan.stagedAt,
              learntHow: `host ${plan.host}: writeHeader`,
            })
          },
          () => records.deleteContainer(plan.array, plan.container.volume, plan.container.name),
        ),
      ]
      return steps
    },
  }
}
