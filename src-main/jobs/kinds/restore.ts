import type { Deployment } from '#shared/domain/compute.ts'
import type { FileSystemType } from '#shared/domain/storage.ts'
import type { Devices } from '#main/drivers/devices.ts'
import type { VmDefinition } from '#main/drivers/hosts/contract.ts'
import type { JobKind, Step } from '../step.ts'
import { deviceStep } from './device-step.ts'
import { hostTarget, mountStep } from './lun-steps.ts'
import { defineStep, startStep } from './vm-steps.ts'

/** What a deployment lacked when the host was asked: only that is brought back, and only that is undone. */
export interface RestorePlan {
  deployment: Deployment
  fileSystem: FileSystemType
  attach: boolean
  mount: boolean
  /** Its registration, when that is lost. */
  define?: VmDefinition
  start: boolean
}

/** A deployment whose host was restarted comes up again on the LUN that it has. */
export function restoreKind(devices: Devices): JobKind<RestorePlan> {
  return {
    name: 'restore',
    afterRestart: 'resume',
    onFailure: 'undo',
    title: ({ deployment }) => `Bring ${deployment.name} up again on host ${deployment.host}`,
    resources: ({ deployment }) => [
      `deployment/${deployment.name}`,
      `vm/${deployment.host}/${deployment.vm.name}`,
    ],
    steps: (plan) => restoreSteps(devices, plan),
  }
}

function restoreSteps(devices: Devices, plan: RestorePlan): Step[] {
  const { deployment } = plan
  const { lun } = deployment
  const host = devices.host(deployment.host)
  const steps: Step[] = []
  if (plan.attach)
    steps.push(
      deviceStep({
        id: 'attach',
        title: `Bring LUN ${lun.name} online`,
        target: hostTarget(host),
        weight: 0.2,
        action: host.attachLun(lun),
        undo: host.detachLun(lun),
        observe: async (signal) => {
          const found = await host.findAttached(lun, signal)
          return found === undefined || found.partial === true ? 'absent' : 'present'
        },
      }),
    )
  if (plan.mount) steps.push(mountStep(host, lun, { fileSystem: plan.fileSystem }))
  if (plan.define !== undefined) steps.push(defineStep(host, plan.define))
  if (plan.start) steps.push(startStep(host, deployment.vm))
  return steps
}
