import type { Deployment } from '#shared/domain/compute.ts'
import { loginOfArray, type FileSystemType } from '#shared/domain/storage.ts'
import type { Devices } from '#main/drivers/devices.ts'
import type { VmDefinition } from '#main/drivers/hosts/contract.ts'
import type { JobKind, Step } from '../step.ts'
import { lockStep, type LockParts, type PlannedLock } from './lock-steps.ts'
import { attachUnitStep, mountStep } from './lun-steps.ts'
import { deviceOf } from './unit-steps.ts'
import { defineStep, startStep } from './vm-steps.ts'

/** What a deployment lacked when the host was asked: only that is brought back, and only that is undone. */
export interface RestorePlan {
  deployment: Deployment
  /** Absent in the layout `disks`. */
  fileSystem?: FileSystemType
  /** Its device and with it the file system, or the file system alone. */
  attach: boolean
  mount: boolean
  /** Its registration, when that is lost. */
  define?: VmDefinition
  /** With `start`, on hosts that lock the units of their VMs. */
  lock?: PlannedLock
  start: boolean
}

export interface RestoreParts extends LockParts {
  readonly devices: Devices
}

/** A deployment whose host was restarted comes up again on the LUN that it has. */
export function restoreKind(parts: RestoreParts): JobKind<RestorePlan> {
  return {
    name: 'restore',
    afterRestart: 'resume',
    onFailure: 'undo',
    title: ({ deployment }) => `Bring ${deployment.name} up again on host ${deployment.host}`,
    resources: ({ deployment }) => [
      `deployment/${deployment.name}`,
      `vm/${deployment.host}/${deployment.vm.name}`,
    ],
    steps: (plan) => restoreSteps(parts, plan),
  }
}

function restoreSteps(parts: RestoreParts, plan: RestorePlan): Step[] {
  const { deployment } = plan
  const { lun } = deployment
  const host = parts.devices.host(deployment.host)
  const array = parts.devices.array(deployment.container.array)
  const login = loginOfArray(array.config)
  const steps: Step[] = []
  const { fileSystem } = plan
  if (plan.attach) steps.push(attachUnitStep({ array, host, lun }, fileSystem))
  else if (plan.mount && fileSystem !== undefined) steps.push(mountStep(host, lun, { fileSystem }))
  if (plan.define !== undefined) steps.push(defineStep(host, plan.define))
  if (plan.lock !== undefined) steps.push(lockStep(parts, deviceOf(deployment, array.config), plan.lock))
  if (plan.start) steps.push(startStep(host, deployment.vm, login))
  return steps
}
