import type { Deployment, DeploymentRecipe } from '#shared/domain/compute.ts'
import { loginOfArray } from '#shared/domain/storage.ts'
import type { ArrayConfig, FileSystemType, LunAddress, ObjectRef, OsType } from '#shared/domain/storage.ts'
import type { Devices } from '#main/drivers/devices.ts'
import type { ReadySign, VmDefinition } from '#main/drivers/hosts/contract.ts'
import type { JobKind, Step } from '../step.ts'
import { deviceStep, recordStep } from './device-step.ts'
import { attachUnitStep, copyObjectStep, hostTarget, mappedLunStep, type CopyKind } from './lun-steps.ts'
import { freeCopyStep, lockCopyStep, lockStep, type LockParts, type PlannedLock } from './lock-steps.ts'
import type { InventoryRecords } from './records.ts'
import { deviceOf, verifyStep, type PlannedDisk, type UnitWorkParts } from './unit-steps.ts'
import { defineStep, startStep } from './vm-steps.ts'

export interface DeployPlan {
  array: string
  host: string
  name: string
  container: ObjectRef & { unitId: string; sizeBytes: number }
  /** Undefined when deployed directly (A12). Without a snapshot the clone is a full copy: its blocks cannot be shared. */
  copies?: { snapshot?: ObjectRef; clone: ObjectRef }
  lun: LunAddress
  initiator: string
  osType: OsType
  /** Absent in the layout `disks`. */
  fileSystem?: FileSystemType
  vm: VmDefinition
  /** Disks to be read back and compared with the header. */
  verify?: PlannedDisk[]
  /** On hosts that lock the units of their VMs. */
  lock?: PlannedLock
  start: boolean
  wait?: { sign: ReadySign; timeoutMs: number }
  deployedAt: string
}

export interface DeployParts extends UnitWorkParts, LockParts {
  readonly devices: Devices
  readonly records: InventoryRecords
}

/** Container -> LUN -> VM, without partitioning, formatting or copying data (A9-A14). */
export function deployKind(parts: DeployParts): JobKind<DeployPlan> {
  return {
    name: 'deploy',
    afterRestart: 'resume',
    onFailure: 'undo',
    title: (plan) => `Deploy ${plan.name} from container ${plan.container.name} on host ${plan.host}`,
    resources: (plan) => [
      `deployment/${plan.name}`,
      `vm/${plan.host}/${plan.vm.name}`,
      ...(plan.copies === undefined
        ? [`container/${plan.array}/${plan.container.volume}/${plan.container.name}`]
        : []),
    ],
    steps: (plan, jobId) => deploySteps(parts, plan, jobId),
  }
}

function deploySteps(parts: DeployParts, plan: DeployPlan, jobId: string): Step[] {
  const { devices, records } = parts
  const array = devices.array(plan.array)
  const host = devices.host(plan.host)
  const login = loginOfArray(array.config)
  const backing = plan.copies?.clone ?? plan.container
  const source: ObjectRef = { volume: plan.container.volume, kind: 'container', name: plan.container.name }
  const steps: Step[] = []
  if (plan.copies !== undefined) {
    const { snapshot, clone } = plan.copies
    const copy = (from: ObjectRef, to: ObjectRef, kind: CopyKind): Step =>
      copyObjectStep(array, { from, to, mark: jobId }, kind, plan.container.sizeBytes)
    if (snapshot === undefined) steps.push(copy(source, clone, 'full-copy'))
    else steps.push(copy(source, snapshot, 'snapshot'), copy(snapshot, clone, 'clone'))
  }
  steps.push(
    mappedLunStep({
      array,
      records,
      lun: plan.lun,
      backing: { volume: backing.volume, kind: backing.kind, name: backing.name },
      osType: plan.osType,
      initiator: plan.initiator,
    }),
    attachUnitStep({ array, host, lun: plan.lun }, plan.fileSystem),
    // once the VM has run, its disk is no longer what was staged
    ...(plan.verify ?? []).map((disk) => ({
      ...verifyStep(parts, deviceOf(plan, array.config), disk),
      settledBy: 'define',
    })),
    { ...defineStep(host, plan.vm), ...(plan.verify === undefined ? { besidePrevious: true } : {}) },
    ...lockSteps(parts, plan, array.config),
  )
  if (plan.start) steps.push(startStep(host, plan.vm, login))
  if (plan.start && plan.wait !== undefined)
    steps.push(
      deviceStep({
        id: 'wait',
        title: `Wait until the guest of ${plan.vm.name} is up`,
        target: hostTarget(host),
        weight: 4,
        action: host.waitForGuest(plan.vm, plan.wait.sign, plan.wait.timeoutMs),
        observe: async () => 'absent',
        result: (line) => line,
      }),
    )
  steps.push(
    recordStep(
      'record',
      `Record deployment ${plan.name} in the inventory`,
      () => records.putDeployment(deploymentOf(plan), recipeOf(plan)),
      () => records.deleteDeployment(plan.name),
    ),
  )
  return steps
}

function lockSteps(parts: DeployParts, plan: DeployPlan, array: ArrayConfig): Step[] {
  const { lock, copies, start } = plan
  if (lock === undefined) return []
  const where = deviceOf(plan, array)
  if (copies !== undefined)
    return [start ? lockCopyStep(parts, where, lock.owner) : freeCopyStep(parts, where)]
  return start ? [lockStep(parts, where, lock)] : []
}

function deploymentOf(plan: DeployPlan): Deployment {
  const { volume, name, unitId } = plan.container
  return {
    name: plan.name,
    host: plan.host,
    container: { array: plan.array, volume, name, unitId },
    backing: plan.copies?.clone ?? { volume, kind: 'container', name },
    ...(plan.copies?.snapshot === undefined ? {} : { snapshot: plan.copies.snapshot }),
    lun: plan.lun,
    initiator: plan.initiator,
    vm: { name: plan.vm.name, uuid: plan.vm.uuid },
    consoleLog: plan.vm.consoleLog,
    osType: plan.osType,
    deployedAt: plan.deployedAt,
  }
}

const recipeOf = ({ fileSystem, start, vm }: DeployPlan): DeploymentRecipe => ({
  ...(fileSystem === undefined ? {} : { fileSystem }),
  started: start,
  vm: { ...vm, macAddresses: [...vm.macAddresses] },
})
