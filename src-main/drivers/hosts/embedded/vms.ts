import type { EmbeddedHostConfig, Vm } from '#shared/domain/compute.ts'
import type { ChapLogin, LunAddress } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { readDiskLunRegion } from '#main/protocols/domain-xml/disks.ts'
import type { Action } from '../../action.ts'
import type { ChapSecrets } from '../../chap-secrets.ts'
import type { HostDriver } from '../contract.ts'
import { prepareFirmware } from './firmware.ts'
import { vmPlaces } from './places.ts'
import { hasKvm } from './probe.ts'
import { qemuArguments } from './qemu-arguments.ts'
import { findQemu, secretFileOfChild, startQemu, stateOfQemu, stopQemu } from './qemu-process.ts'
import { createVmRecords, type RegisteredVm } from './records.ts'
import { waitForGuest } from './wait-for-guest.ts'

export type HostVms = Pick<
  HostDriver,
  'listVms' | 'listVmNames' | 'findVm' | 'defineVm' | 'startVm' | 'waitForGuest' | 'stopVm' | 'undefineVm'
>

const states = { running: 'running', paused: 'paused', 'io-error': 'paused', stopped: 'shut-off' } as const

export function createHostVms(
  config: EmbeddedHostConfig,
  program: string,
  dataDir: string,
  secrets: ChapSecrets,
): HostVms {
  const records = createVmRecords(dataDir)
  const act = (command: string, run: (signal: AbortSignal) => Promise<void>): Action => ({
    commands: [command],
    run: ({ signal }) => run(signal),
  })
  let kvm: Promise<boolean> | undefined

  async function start(uuid: string, login: ChapLogin | undefined, signal: AbortSignal): Promise<void> {
    const places = vmPlaces(dataDir, uuid)
    const vm = await records.find(uuid)
    if (vm === undefined) throw new AppError('not-found', 'There is no such VM', { object: `VM ${uuid}` })
    if ((await findQemu(places)) !== undefined) return
    const object = `VM ${vm.name}`
    const { root, vm: hardware } = vm.domain
    const firmware =
      hardware.firmware === 'uefi' ? { firmwareCode: await prepareFirmware(root, places, object) } : {}
    kvm ??= config.settings.accelerator === 'emulation' ? Promise.resolve(false) : hasKvm(program, signal)
    const accelerator = (await kvm) ? 'kvm' : 'tcg'
    const run = (secret?: string): Promise<void> => {
      const args = qemuArguments(vm, places, {
        accelerator,
        ...firmware,
        ...(login === undefined ? {} : { login: { user: login.user, secretFile: secretFileOfChild } }),
      })
      return startQemu({ program, args, places, object, ...(secret === undefined ? {} : { secret }) }, signal)
    }
    const portal = portalOf(vm)
    await (login === undefined || portal === undefined ? run() : secrets.use(login, portal, signal, run))
  }

  return {
    listVms: async () => {
      const vms = await records.list()
      return Promise.all(vms.map((vm) => describe(config, dataDir, vm)))
    },
    listVmNames: async () => (await records.list()).map(({ name }) => name),
    async findVm(uuid) {
      const vm = await records.find(uuid)
      return vm === undefined ? undefined : describe(config, dataDir, vm)
    },
    defineVm: (vm) => act(`write ${vmPlaces(dataDir, vm.uuid).record}`, () => records.put(vm)),
    startVm: (uuid, login) =>
      act(
        `${program} -daemonize, with what ${vmPlaces(dataDir, uuid).record} says${
          login === undefined ? '' : `; LUNs with the secret of CHAP user ${login.user}`
        }`,
        (signal) => start(uuid, login, signal),
      ),
    waitForGuest: (vm, sign, timeoutMs) =>
      waitForGuest(vmPlaces(dataDir, vm.uuid), `VM ${vm.uuid}`, sign, timeoutMs),
    stopVm: (uuid) =>
      act(`quit, at ${vmPlaces(dataDir, uuid).monitor}`, () =>
        stopQemu(vmPlaces(dataDir, uuid), `VM ${uuid}`),
      ),
    undefineVm(vm) {
      const places = vmPlaces(dataDir, vm.uuid)
      if (vm.consoleLog !== undefined && vm.consoleLog !== places.consoleLog)
        throw new AppError('bad-request', `"${vm.consoleLog}" is not the console log of VM ${vm.uuid}`)
      return act(`remove ${places.folder}`, async () => {
        if ((await findQemu(places)) !== undefined)
          throw new AppError('busy', 'The VM is still running', {
            object: `VM ${vm.uuid}`,
            advice: 'Stop it first.',
          })
        await records.remove(vm.uuid)
      })
    },
  }
}

async function describe(config: EmbeddedHostConfig, dataDir: string, vm: RegisteredVm): Promise<Vm> {
  const { domain, name, uuid } = vm
  return {
    host: config.name,
    uuid,
    name,
    state: states[await stateOfQemu(vmPlaces(dataDir, uuid))],
    memoryBytes: domain.vm.memoryBytes,
    cpus: domain.vm.cpus,
    disks: domain.disks.map(({ target, type, source, driverType }) => ({
      device: target,
      type,
      source,
      format: driverType ?? 'unknown',
    })),
    learntAt: new Date().toISOString(),
    learntHow: `host ${config.name}: listVms`,
  }
}

const portalOf = ({ domain }: RegisteredVm): string | undefined =>
  domain.disks.flatMap(({ element }) => readDiskLunRegion(element) ?? [])[0]?.portal

/** Names of the VMs of this computer that run and have a disk on the LUN. */
export async function runningOn(dataDir: string, lun: LunAddress): Promise<string[]> {
  const vms = await createVmRecords(dataDir).list()
  const using = vms.filter(({ domain }) =>
    domain.disks.some(({ element }) => readDiskLunRegion(element)?.target === lun.target),
  )
  const running = await Promise.all(
    using.map(async ({ uuid }) => (await findQemu(vmPlaces(dataDir, uuid))) !== undefined),
  )
  return using.filter((_, index) => running[index]).map(({ name }) => name)
}
