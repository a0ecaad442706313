import type { ObjectRef } from '#shared/domain/storage.ts'
import type { CreateLun } from '#main/drivers/arrays/contract.ts'
import type { LunIdentity } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { Devices } from '#main/drivers/devices.ts'
import type { JobKind, Step } from '../step.ts'
import { deviceStep } from './device-step.ts'
import { arrayTarget, observeLun, observeObject } from './lun-steps.ts'
import type { InventoryRecords, LunRecord } from './records.ts'

/** The steps of staging and deployment, each to be commanded by itself (A18). */
export type SingleStepPlan =
  | { step: 'create-container'; array: string; object: ObjectRef; sizeBytes: number }
  | { step: 'delete-container'; array: string; object: ObjectRef; mark: string }
  | { step: 'create-lun'; array: string; lun: CreateLun }
  | { step: 'map-lun' | 'unmap-lun'; array: string; identity: LunIdentity; initiator: string }
  | { step: 'destroy-lun'; array: string; identity: LunIdentity }
  | { step: 'restore-luns'; array: string; luns: LunRecord[] }

export function singleStepKind(devices: Devices, records: InventoryRecords): JobKind<SingleStepPlan> {
  return {
    name: 'single-step',
    afterRestart: 'resume',
    onFailure: 'undo',
    title: titleOf,
    resources: (plan) => [resourceOf(plan)],
    steps: (plan, jobId) => [singleStep(devices, records, plan, jobId)],
  }
}

function resourceOf(plan: SingleStepPlan): string {
  switch (plan.step) {
    case 'create-container':
    case 'delete-container':
      return `container/${plan.array}/${plan.object.volume}/${plan.object.name}`
    case 'create-lun':
      return `lun/${plan.array}/${plan.lun.name}`
    case 'restore-luns':
      return `luns/${plan.array}`
    default:
      return `lun/${plan.array}/${plan.identity.name}`
  }
}

function titleOf(plan: SingleStepPlan): string {
  switch (plan.step) {
    case 'create-container':
      return `Create container ${plan.object.name}`
    case 'delete-container':
      return `Delete container ${plan.object.name} with all that is staged in it`
    case 'create-lun':
      return `Make LUN ${plan.lun.name} from ${plan.lun.backing.kind} ${plan.lun.backing.name}`
    case 'map-lun':
      return `Map LUN ${plan.identity.name} to ${plan.initiator} alone`
    case 'unmap-lun':
      return `Unmap LUN ${plan.identity.name} from ${plan.initiator}`
    case 'destroy-lun':
      return `Destroy LUN ${plan.identity.name}; the object under it stays`
    case 'restore-luns':
      return `Make ${plan.luns.length} lost LUN(s) of array ${plan.array} again with their maps`
  }
}

function singleStep(devices: Devices, records: InventoryRecords, plan: SingleStepPlan, jobId: string): Step {
  const array = devices.array(plan.array)
  const common = { id: plan.step, title: titleOf(plan), target: arrayTarget(array), weight: 1 }
  switch (plan.step) {
    case 'create-container':
      return deviceStep({
        ...common,
        action: array.createObject({ ...plan.object, sizeBytes: plan.sizeBytes, mark: jobId }),
        undo: array.deleteObject(plan.object, jobId),
        observe: (signal) =>
          observeObject(array, plan.object, jobId, signal, (size) => size === plan.sizeBytes),
      })
    case 'delete-container':
      return deviceStep({
        ...common,
        action: array.deleteObject(plan.object, plan.mark),
        observe: async (signal) =>
          (await array.findObject(plan.object, signal)) === undefined ? 'present' : 'absent',
        recorded: () => records.deleteContainer(plan.array, plan.object.volume, plan.object.name),
      })
    case 'create-lun':
      return deviceStep({
        ...common,
        action: array.createLun(plan.lun),
        undo: array.deleteLun(plan.lun),
        observe: (signal) => observeLun(array, plan.lun, signal),
        recorded: () => records.putLun(recordOf(plan.array, plan.lun)),
        forgotten: () => records.deleteLun(plan.array, plan.lun.name),
      })
    case 'map-lun':
      return deviceStep({
        ...common,
        action: array.mapLun(plan.identity, plan.initiator),
        undo: array.unmapLun(plan.identity, plan.initiator),
        observe: async (signal) =>
          (await array.findLun(plan.identity, signal))?.mappedTo.includes(plan.initiator) === true
            ? 'present'
            : 'absent',
        recorded: () => records.addInitiator(plan.array, plan.identity.name, plan.initiator),
        forgotten: () => records.removeInitiator(plan.array, plan.identity.name, plan.initiator),
      })
    case 'unmap-lun':
      return deviceStep({
        ...common,
        action: array.unmapLun(plan.identity, plan.initiator),
        observe: async (signal) =>
          (await array.findLun(plan.identity, signal))?.mappedTo.includes(plan.initiator) === true
            ? 'absent'
            : 'present',
        recorded: () => records.removeInitiator(plan.array, plan.identity.name, plan.initiator),
      })
    case 'destroy-lun':
      return deviceStep({
        ...common,
        action: array.deleteLun(plan.identity),
        observe: async (signal) =>
          (await array.findLun(plan.identity, signal)) === undefined ? 'present' : 'absent',
        recorded: () => records.deleteLun(plan.array, plan.identity.name),
      })
    case 'restore-luns': {
      if (array.restoreLuns === undefined)
        throw new AppError('not-supported', 'This array keeps its LUNs over a restart', {
          object: common.target,
        })
      return deviceStep({
        ...common,
        action: array.restoreLuns(
          plan.luns.map(({ identity, backing, osType, initiators }) => ({
            lun: { ...identity, backing, osType },
            initiators,
          })),
        ),
        observe: async () => 'absent',
      })
    }
  }
}

const recordOf = (array: string, { backing, osType, ...identity }: CreateLun): LunRecord => ({
  array,
  identity,
  backing,
  osType,
  initiators: [],
})
