import type { LunAddress, ObjectRef } from '#shared/domain/storage.ts'
import type { Devices } from '#main/drivers/devices.ts'
import type { JobKind } from '../step.ts'
import { recordStep } from './device-step.ts'
import { createContainerStep, dropLunSteps, mappedLunStep } from './lun-steps.ts'
import type { InventoryRecords } from './records.ts'
import { dropFetchedStep, fetchSteps, type PlannedFetch } from './fetch-steps.ts'
import type { OpenTemplateFile } from './stage-copy.ts'
import { verifyStep, writeStep, type PlannedWrite, type UnitWorkParts } from './unit-steps.ts'

export interface StageDisksPlan {
  readonly array: string
  readonly container: ObjectRef
  readonly lun: LunAddress
  /** The console's own name: the LUN is mapped to it alone. */
  readonly initiator: string
  /** The container is new, so it reads as zeros. */
  readonly write: PlannedWrite
  /** Images that must come to this computer first; their paths are those that are written. */
  readonly fetch?: PlannedFetch
}

export interface StageDisksParts extends UnitWorkParts {
  readonly devices: Devices
  readonly records: InventoryRecords
  readonly openTemplateFile: OpenTemplateFile
}

/** Images -> container of disks, without any host: the console writes over its own session (A1-A8, B1). */
export function stageDisksKind(parts: StageDisksParts): JobKind<StageDisksPlan> {
  const { devices, records } = parts
  return {
    name: 'stage-disks',
    afterRestart: 'undo',
    onFailure: 'undo',
    title: ({ write, container, array }) =>
      `Stage ${write.header.vm.name} as disks into container ${container.name} on array ${array}`,
    resources: ({ array, container }) => [`container/${array}/${container.volume}/${container.name}`],
    steps(plan, jobId) {
      const { container, write, fetch } = plan
      const { header, unit } = write
      const array = devices.array(plan.array)
      const lunSteps = {
        array,
        records,
        lun: plan.lun,
        backing: container,
        osType: header.osType,
        initiator: plan.initiator,
      }
      return [
        ...(fetch === undefined ? [] : fetchSteps(fetch, parts.openTemplateFile)),
        createContainerStep(array, container, unit.sizeBytes, jobId),
        mappedLunStep(lunSteps),
        // what is written goes with the container
        writeStep(parts, write),
        ...(fetch === undefined ? [] : [dropFetchedStep(fetch)]),
        ...write.images.map((disk) => verifyStep(parts, write.device, disk)),
        ...dropLunSteps(lunSteps),
        recordStep(
          'record',
          `Record container ${container.name} in the inventory`,
          () =>
            records.putContainer({
              array: plan.array,
              volume: container.volume,
              name: container.name,
              sizeBytes: unit.sizeBytes,
              state: 'ok',
              staged: {
                unitId: header.unitId,
                osType: header.osType,
                templateName: header.vm.name,
                stagedAt: header.stagedAt,
              },
              learntAt: header.stagedAt,
            }),
          () => records.deleteContainer(plan.array, container.volume, container.name),
        ),
      ]
    },
  }
}
