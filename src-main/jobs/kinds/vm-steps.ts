import type { ChapLogin } from '#shared/domain/storage.ts'
import type { HostDriver, VmDefinition } from '#main/drivers/hosts/contract.ts'
import type { Step } from '../step.ts'
import { deviceStep } from './device-step.ts'
import { hostTarget } from './lun-steps.ts'

/** Registers a VM; undone by removing the registration. */
export const defineStep = (host: HostDriver, vm: VmDefinition): Step =>
  deviceStep({
    id: 'define',
    title: `Register VM ${vm.name}`,
    target: hostTarget(host),
    weight: 0.2,
    action: host.defineVm(vm),
    undo: host.undefineVm(vm),
    observe: async (signal) => ((await host.findVm(vm.uuid, signal)) === undefined ? 'absent' : 'present'),
  })

/** Starts a VM; undone by ending it at once. */
export const startStep = (
  host: HostDriver,
  vm: { readonly name: string; readonly uuid: string },
  login: ChapLogin | undefined,
): Step =>
  deviceStep({
    id: 'start',
    title: `Start VM ${vm.name}`,
    target: hostTarget(host),
    weight: 0.5,
    action: host.startVm(vm.uuid, login),
    undo: host.stopVm(vm.uuid),
    observe: async (signal) =>
      (await host.findVm(vm.uuid, signal))?.state === 'running' ? 'present' : 'absent',
  })
