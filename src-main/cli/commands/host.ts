import { Option } from 'commander'
import type { Command } from 'commander'
import type { InputOf, OutputOf } from '#shared/contract/index.ts'
import type { Vm } from '#shared/domain/compute.ts'
import { placeOfHost } from '#shared/domain/place.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import { describeChecks } from '../describe-checks.ts'
import { ensureHostKeys } from '../host-keys.ts'
import { keyValue, present } from '../parse-options.ts'
import { addSshOptions, readConnection } from '../ssh-options.ts'
import type { SshOptions } from '../ssh-options.ts'
import { formatTable } from '../table.ts'
import type { MakeAction, Outcome, Tools } from '../tools.ts'

type HostEntry = OutputOf<'inventory.listHosts'>[number]
type Probe = OutputOf<'inventory.probeHost'>
type HostConfigInput = InputOf<'inventory.addHost'>

interface AddOptions extends SshOptions {
  readonly driver: HostConfigInput['driver']
  readonly uri?: string
  readonly stateDir?: string
  readonly portal?: Record<string, string>
  readonly initiatorName?: string
  readonly accelerator?: NonNullable<HostConfigInput['settings']['accelerator']>
}

export function registerHostCommands(program: Command, makeAction: MakeAction): void {
  const host = program.command('host').description('hypervisor hosts')

  addSshOptions(host.command('add').argument('<name>'))
    .description('record a host and look at what it can do; changes nothing on it')
    .addOption(
      new Option('--driver <name>', 'libvirt: a server over SSH; embedded: this computer with its own QEMU')
        .choices(['libvirt', 'embedded'])
        .default('libvirt'),
    )
    .option('--uri <uri>', 'libvirt connection on the host (default: qemu:///system)')
    .option('--state-dir <path>', 'directory of Gantry on the host (default: /var/lib/gantry)')
    .option(
      '--portal <array=address>',
      'portal of an array as this host reaches it; may be given several times',
      keyValue,
    )
    .option('--initiator-name <name>', 'initiator name (default: what the host’s own initiator says)')
    .addOption(
      new Option(
        '--accelerator <type>',
        'for VMs whose configuration Gantry writes: KVM where there is one, or emulation (default: auto)',
      ).choices(['auto', 'emulation']),
    )
    .addHelpText(
      'after',
      `
Examples:
  gantry host add kvm1 --ssh root@kvm1.lab
  gantry host add kvm1 --ssh admin@kvm1.lab --sudo --portal san1=10.0.0.5:3260
  gantry host add here --driver embedded`,
    )
    .action(makeAction(addHost))

  host
    .command('list')
    .description('the known hosts')
    .addHelpText('after', '\nExample:\n  gantry host list --json')
    .action(
      makeAction(async ({ client }) => {
        const hosts = await client.call('inventory.listHosts', {})
        return { value: hosts, text: hostsTable(hosts) }
      }),
    )

  host
    .command('probe')
    .argument('<name>')
    .description('ask a host what it is and what it can do')
    .addHelpText('after', '\nExample:\n  gantry host probe kvm1')
    .action(
      makeAction(async ({ client }, name: string) => {
        const probe = await client.call('inventory.probeHost', { name })
        return { value: probe, text: describeProbe(name, probe) }
      }),
    )

  host
    .command('remove')
    .argument('<name>')
    .description('forget a host; changes nothing on it')
    .addHelpText('after', '\nExample:\n  gantry host remove kvm1')
    .action(
      makeAction(async ({ client }, name: string) => {
        await client.call('inventory.removeHost', { name })
        return { value: { removed: name }, text: `Host ${name} is forgotten; nothing on it was changed.` }
      }),
    )

  host
    .command('vms')
    .argument('<name>')
    .option('--refresh', 'ask the host instead of showing the last known state')
    .description('the VMs of a host')
    .addHelpText('after', '\nExample:\n  gantry host vms kvm1 --refresh')
    .action(
      makeAction(async ({ client }, name: string, options: { refresh?: boolean }) => {
        const vms = await client.call('inventory.listVms', { host: name, refresh: options.refresh === true })
        return { value: vms, text: vmsTable(vms) }
      }),
    )
}

async function addHost(tools: Tools, name: string, options: AddOptions): Promise<Outcome> {
  const config = readHost(name, options, tools.io.env)
  // before the device hears of us
  tools.client.check('inventory.addHost', config)
  if (config.driver !== 'embedded')
    await ensureHostKeys(tools, config.connection, options.acceptHostKey ?? [])
  const probe = await tools.client.call('inventory.addHost', config)
  return { value: probe, text: describeProbe(name, probe) }
}

function readHost(name: string, options: AddOptions, env: NodeJS.ProcessEnv): HostConfigInput {
  const { driver, uri, stateDir, portal: portals, initiatorName, accelerator } = options
  const settings = present({ initiatorName, accelerator })
  if (driver !== 'embedded')
    return {
      name,
      driver,
      connection: readConnection(options, env),
      settings: { ...settings, ...present({ uri, stateDir, portals }) },
    }
  const foreign = Object.entries({
    '--ssh': options.ssh,
    '--uri': uri,
    '--state-dir': stateDir,
    '--portal': portals,
  })
    .filter(([, value]) => value !== undefined)
    .map(([option]) => option)
  if (foreign.length > 0)
    throw new AppError('bad-request', `${foreign.join(', ')} says nothing about this computer`, {
      advice: 'Leave it out, or leave out --driver embedded for a server with libvirt.',
    })
  return { name, driver, settings }
}

const describeProbe = (name: string, probe: Probe): string =>
  [
    `${name}: ${probe.hostName}, ${probe.hypervisor}, OS type ${probe.osType}`,
    `  initiator ${probe.initiatorName}, attaches by ${probe.attachMethod}, ${probe.fileSystems.length === 0 ? 'mounts no file systems' : `file systems ${probe.fileSystems.join(', ')}`}`,
    ...describeChecks(probe.checks),
  ].join('\n')

const hostsTable = (hosts: readonly HostEntry[]): string =>
  hosts.length === 0
    ? 'No hosts yet; "gantry host add --help" shows how to add one.'
    : formatTable(hosts, [
        { title: 'HOST', value: ({ config }) => config.name },
        { title: 'ADDRESS', value: ({ config }) => placeOfHost(config) },
        { title: 'HYPERVISOR', value: ({ facts }) => facts?.hypervisor ?? '-' },
        { title: 'OS TYPE', value: ({ facts }) => facts?.osType ?? '-' },
        { title: 'ATTACHES BY', value: ({ facts }) => facts?.attachMethod ?? '-' },
        { title: 'INITIATOR', value: ({ facts }) => facts?.initiatorName ?? '-' },
        { title: 'AS OF', value: ({ learntAt }) => learntAt ?? 'never asked' },
      ])

const vmsTable = (vms: readonly Vm[]): string =>
  vms.length === 0
    ? 'No VMs are known; --refresh asks the host.'
    : formatTable(vms, [
        { title: 'VM', value: ({ name }) => name },
        { title: 'STATE', value: ({ state }) => state },
        { title: 'CPUS', align: 'right', value: ({ cpus }) => String(cpus) },
        { title: 'MEMORY', align: 'right', value: ({ memoryBytes }) => formatBytes(memoryBytes) },
        { title: 'DISKS', value: ({ disks }) => disks.map(({ source }) => source).join(', ') },
        { title: 'AS OF', value: ({ learntAt }) => learntAt },
      ])
