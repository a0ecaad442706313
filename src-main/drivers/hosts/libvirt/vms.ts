import type { LibvirtHostConfig } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { sh, type ShellScript } from '#main/transports/shell/script.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import type { Action } from '../../action.ts'
import type { HostDriver, UnitFiles, VmDefinition } from '../contract.ts'
import { metadataPrefix } from '#main/protocols/domain-xml/identity.ts'
import { describeVm } from './describe-vm.ts'
import { consoleLogOf } from './identity.ts'
import { findVm, listVmNames, listVms } from './list-vms.ts'
import { createVirsh, exitIfAbsent, failWithOutput, type Virsh } from './virsh.ts'
import { waitForGuest } from './wait-for-guest.ts'

export type HostVms = Pick<
  HostDriver,
  'listVms' | 'listVmNames' | 'findVm' | 'defineVm' | 'startVm' | 'waitForGuest' | 'stopVm' | 'undefineVm'
> &
  Pick<UnitFiles, 'describeVm'>

/** Starting may wait for memory and storage; ending for a process that waits for its storage. */
const startTimeoutMs = 180_000
const exitRunning = 9

export function createHostVms(config: LibvirtHostConfig, shell: Shell): HostVms {
  const virsh = createVirsh(config, shell)
  const act = (script: ShellScript, object: string): Action => ({
    commands: [script],
    run: async ({ signal }) => {
      await virsh.run(script, { signal, timeoutMs: startTimeoutMs }, object)
    },
  })
  return {
    listVms: (signal) => listVms(virsh, config, signal),
    listVmNames: (signal) => listVmNames(virsh, signal),
    findVm: (uuid, signal) => findVm(virsh, config, uuid, signal),
    describeVm,
    defineVm: (vm) => act(defineScript(virsh, vm, config.settings.accelerator ?? 'auto'), `VM ${vm.name}`),
    startVm: (uuid) => act(startScript(virsh, uuid), `VM ${uuid}`),
    waitForGuest: (vm, sign, timeoutMs) => waitForGuest(virsh, vm, sign, timeoutMs),
    stopVm: (uuid) => act(stopScript(virsh, uuid), `VM ${uuid}`),
    undefineVm: (vm) => undefineVm(virsh, vm),
  }
}

/**
 * libvirt itself decides whether name and UUID are free: it takes the same pair again and refuses any other use of
 * either. A configuration of our own making (see build-domain) is emulated where there is no KVM.
 */
function defineScript(virsh: Virsh, vm: VmDefinition, accelerator: 'auto' | 'emulation'): ShellScript {
  const xml = vm.configuration.text
  if (!xml.includes(`<${metadataPrefix}:accelerator `))
    return virsh.script(sh`printf '%s' ${xml} | v define /dev/stdin`)
  return virsh.script(
    accelerator === 'emulation'
      ? sh`type=qemu`
      : sh`type=kvm; v domcapabilities --virttype kvm >/dev/null 2>&1 || type=qemu`,
    sh`printf '%s' ${xml} | sed "1s/ type=\\"kvm\\"/ type=\\"$type\\"/" | v define /dev/stdin`,
  )
}

const startScript = (virsh: Virsh, uuid: string): ShellScript =>
  virsh.script(
    sh`out=$(v start ${uuid} 2>&1) && exit 0`,
    sh`case $out in *'already active'*) exit 0 ;; esac`,
    failWithOutput,
  )

const stopScript = (virsh: Virsh, uuid: string): ShellScript =>
  virsh.script(
    sh`out=$(v destroy ${uuid} 2>&1) && exit 0`,
    sh`case $out in *'domain is not running'*) exit 0 ;; esac`,
    exitIfAbsent(uuid),
    failWithOutput,
  )

function undefineScript(virsh: Virsh, uuid: string, consoleLog: string): ShellScript {
  const logs = [consoleLog, ...[0, 1, 2, 3].map((rotated) => `${consoleLog}.${rotated}`)]
  return virsh.script(
    sh`clean() { rm -f -- ${logs}; }`,
    sh`trap 'if [ $? -eq 0 ]; then clean; fi' EXIT`,
    exitIfAbsent(uuid),
    sh`state=$(v domstate ${uuid})`,
    // Undefining a running VM would leave it running without a configuration.
    sh`case $state in 'shut off'*) ;; *) printf '%s\\n' "$state" >&2; exit ${exitRunning} ;; esac`,
    sh`out=$(v undefine ${uuid} --nvram --managed-save --snapshots-metadata --checkpoints-metadata 2>&1) && exit 0`,
    exitIfAbsent(uuid),
    failWithOutput,
  )
}

function undefineVm(virsh: Virsh, vm: { readonly uuid: string; readonly consoleLog?: string }): Action {
  const consoleLog = consoleLogOf(vm.uuid)
  if (vm.consoleLog !== undefined && vm.consoleLog !== consoleLog)
    throw new AppError('bad-request', `"${vm.consoleLog}" is not the console log of VM ${vm.uuid}`)
  const script = undefineScript(virsh, vm.uuid, consoleLog)
  const object = `VM ${vm.uuid}`
  return {
    commands: [script],
    async run({ signal }) {
      const result = await virsh.run(script, { signal, expectExit: [0, exitRunning] }, object)
      if (result.exitCode === exitRunning)
        throw new AppError('busy', 'The VM is still running', {
          object,
          facts: { state: result.stderr.trim() },
          advice: 'Stop it first.',
        })
    },
  }
}
