import type { Deployment } from '#shared/domain/compute.ts'
import type { ObjectRef } from '#shared/domain/storage.ts'
import type { Devices } from '#main/drivers/devices.ts'
import type { JobKind, Step } from '../step.ts'
import { deviceStep, recordStep } from './device-step.ts'
import { unlockStep, type LockParts } from './lock-steps.ts'
import { arrayTarget, hostTarget, takeOfflineSteps } from './lun-steps.ts'
import type { InventoryRecords } from './records.ts'
import { deviceOf } from './unit-steps.ts'

export interface DecommissionPlan {
  deployment: Deployment
  /** The clone and the snapshot with the marks that they bear; empty when deployed directly. */
  copies: { ref: ObjectRef; mark: string }[]
  /** Who has the lock of a container that stays and that the VM ran on. */
  unlock?: string
}

export interface DecommissionParts extends LockParts {
  readonly devices: Devices
  readonly records: InventoryRecords
}

/** Everything of one deployment goes, the container stays (A15). It can only go forward: a removed LUN has no undo. */
export function decommissionKind(parts: DecommissionParts): JobKind<DecommissionPlan> {
  return {
    name: 'decommission',
    afterRestart: 'resume',
    onFailure: 'needs-operator',
    title: (plan) => `Decommission ${plan.deployment.name} on host ${plan.deployment.host}`,
    resources: ({ deployment }) => [
      `deployment/${deployment.name}`,
      `vm/${deployment.host}/${deployment.vm.name}`,
    ],
    steps: (plan) => decommissionSteps(parts, plan),
  }
}

function decommissionSteps(parts: DecommissionParts, plan: DecommissionPlan): Step[] {
  const { devices, records } = parts
  const { deployment } = plan
  const array = devices.array(deployment.container.array)
  const host = devices.host(deployment.host)
  const { uuid } = deployment.vm
  return [
    deviceStep({
      id: 'stop',
      title: `Stop VM ${deployment.vm.name}`,
      target: hostTarget(host),
      weight: 0.3,
      action: host.stopVm(uuid),
      observe: async (signal) =>
        (await host.findVm(uuid, signal))?.state === 'running' ? 'absent' : 'present',
    }),
    ...(plan.unlock === undefined
      ? []
      : [unlockStep(parts, deviceOf(deployment, array.config), plan.unlock)]),
    deviceStep({
      id: 'undefine',
      title: `Unregister VM ${deployment.vm.name}`,
      target: hostTarget(host),
      weight: 0.05,
      action: host.undefineVm({ uuid, consoleLog: deployment.consoleLog }),
      observe: async (signal) => ((await host.findVm(uuid, signal)) === undefined ? 'present' : 'absent'),
    }),
    ...takeOfflineSteps({
      array,
      host,
      records,
      lun: deployment.lun,
      backing: deployment.backing,
      initiator: deployment.initiator,
    }),
    ...plan.copies.map(({ ref, mark }) =>
      deviceStep({
        id: `delete-${ref.kind}`,
        title: `Delete ${ref.kind} ${ref.name}`,
        target: arrayTarget(array),
        weight: 0.02,
        action: array.deleteObject(ref, mark),
        observe: async (signal) =>
          (await array.findObject(ref, signal)) === undefined ? 'present' : 'absent',
      }),
    ),
    recordStep('record', `Remove deployment ${deployment.name} from the inventory`, () =>
      records.deleteDeployment(deployment.name),
    ),
  ]
}
