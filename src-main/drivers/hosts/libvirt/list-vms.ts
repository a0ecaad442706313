import type { LibvirtHostConfig, Vm } from '#shared/domain/compute.ts'
import { readDomain } from '#main/protocols/domain-xml/read-domain.ts'
import { MiB } from '#shared/units/bytes.ts'
import { sh, type ShellScript } from '#main/transports/shell/script.ts'
import { stdoutText } from '#main/transports/shell/shell.ts'
import type { Virsh } from './virsh.ts'

/** As the list of one host may be: several thousand VMs. */
const maxListBytes = 128 * MiB
/** virsh takes many commands in one argument, which Linux limits to 128 KiB. */
const vmsPerCall = 400

const states: Record<string, Vm['state']> = {
  running: 'running',
  idle: 'running',
  'in shutdown': 'running',
  paused: 'paused',
  'shut off': 'shut-off',
  crashed: 'crashed',
}

/**
 * Marker, state and configuration of each VM of $ids, with one virsh for hundreds of them. A VM that vanishes
 * meanwhile leaves an empty section; a daemon that vanishes fails the script.
 */
const describeIds = sh`printf '%s\\n' $ids | awk '{
  printf "echo @gantry:%s;domstate %s;dumpxml %s;", $1, $1, $1
  if (NR % ${vmsPerCall} == 0) printf "\\n"
} END { printf "\\n" }' | while read -r batch; do
  [ -z "$batch" ] || v "$batch" </dev/null || v list --uuid >/dev/null
done`

export const listScript = (virsh: Virsh): ShellScript =>
  virsh.script(sh`ids=$(v list --all --uuid)`, describeIds)

const findScript = (virsh: Virsh, uuid: string): ShellScript =>
  virsh.script(
    sh`all=$(v list --all --uuid); case $all in *${uuid}*) ids=${uuid} ;; *) exit 0 ;; esac`,
    describeIds,
  )

/** Output of the scripts above -> VMs. Sections without a configuration are of VMs that vanished. */
export function parseVms(output: string, host: string, learntAt: string): Vm[] {
  const sections = output.split(/^@gantry:([0-9a-f-]{36})$/m).slice(1)
  const vms: Vm[] = []
  for (let at = 0; at + 1 < sections.length; at += 2) {
    const [uuid = '', body = ''] = sections.slice(at, at + 2)
    const start = body.indexOf('<domain')
    if (start < 0) continue
    const { vm, disks } = readDomain(
      body.slice(start).trim(),
      `The configuration of VM ${uuid} on host ${host}`,
    )
    if (vm.uuid !== uuid) continue
    vms.push({
      host,
      uuid,
      name: vm.name,
      state: states[body.slice(0, start).trim()] ?? 'other',
      memoryBytes: vm.memoryBytes,
      cpus: vm.cpus,
      disks: disks.map(({ target, type, source, driverType }) => ({
        device: target,
        type,
        source,
        format: driverType ?? 'unknown',
      })),
      learntAt,
      learntHow: `host ${host}: listVms`,
    })
  }
  return vms
}

export async function listVms(virsh: Virsh, config: LibvirtHostConfig, signal: AbortSignal): Promise<Vm[]> {
  const result = await virsh.run(listScript(virsh), { signal, maxOutputBytes: maxListBytes })
  return parseVms(stdoutText(result), config.name, new Date().toISOString())
}

export async function listVmNames(virsh: Virsh, signal: AbortSignal): Promise<string[]> {
  const result = await virsh.run(virsh.script(sh`v list --all --name`), { signal })
  return stdoutText(result)
    .split('\n')
    .filter((name) => name !== '')
}

export async function findVm(
  virsh: Virsh,
  config: LibvirtHostConfig,
  uuid: string,
  signal: AbortSignal,
): Promise<Vm | undefined> {
  const result = await virsh.run(findScript(virsh, uuid), { signal })
  return parseVms(stdoutText(result), config.name, new Date().toISOString())[0]
}
