import type { Command } from 'commander'
import type { InputOf, OutputOf } from '#shared/contract/index.ts'
import type { Volume } from '#shared/domain/storage.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import { describeChecks } from '../describe-checks.ts'
import { ensureHostKeys } from '../host-keys.ts'
import { keyValue, present, wholeNumberOption } from '../parse-options.ts'
import { pickNamed } from '../pick-named.ts'
import { addSshOptions, readConnection } from '../ssh-options.ts'
import type { SshOptions } from '../ssh-options.ts'
import { formatTable } from '../table.ts'
import type { MakeAction, Outcome, Tools } from '../tools.ts'

type ArrayEntry = OutputOf<'inventory.listArrays'>[number]
type Probe = OutputOf<'inventory.probeArray'>

interface AddOptions extends SshOptions {
  readonly volume?: Record<string, string>
  readonly portal: string
  readonly tgtControlPort?: number
  readonly iqnPrefix?: string
  readonly lunLimit?: number
}

export function registerArrayCommands(program: Command, makeAction: MakeAction): void {
  const array = program.command('array').description('storage arrays')

  addSshOptions(array.command('add').argument('<name>'))
    .description('record an array and look at what it can do; changes nothing on it')
    .requiredOption('--portal <address>', 'where hosts log in, HOST:PORT')
    .option(
      '--volume <name=path>',
      'a directory that containers may lie in; may be given several times',
      keyValue,
    )
    .option('--tgt-control-port <number>', 'control port of tgtd (default: 0)', wholeNumberOption)
    .option('--iqn-prefix <name>', 'beginning of the target names that Gantry makes')
    .option('--lun-limit <number>', 'the most LUNs of a volume (default: 256)', wholeNumberOption)
    .addHelpText(
      'after',
      `
Examples:
  gantry array add san1 --ssh root@san1.lab --volume vol1=/srv/vol1 --portal 192.0.2.10:3260
  gantry array add san1 --ssh admin@san1.lab:2222 --sudo --jump gate.lab --identity ~/.ssh/lab \\
    --volume vol1=/srv/vol1 --volume vol2=/srv/vol2 --portal 192.0.2.10:3260 \\
    --accept-host-key SHA256:...`,
    )
    .action(makeAction(addArray))

  array
    .command('list')
    .description('the known arrays')
    .addHelpText('after', '\nExample:\n  gantry array list --json')
    .action(
      makeAction(async ({ client }) => {
        const arrays = await client.call('inventory.listArrays', {})
        return { value: arrays, text: arraysTable(arrays) }
      }),
    )

  array
    .command('show')
    .argument('<name>')
    .description('what is known about an array')
    .addHelpText('after', '\nExample:\n  gantry array show san1')
    .action(
      makeAction(async ({ client }, name: string) => {
        const entry = pickNamed(await client.call('inventory.listArrays', {}), 'array', name)
        return { value: entry, text: describeArray(entry) }
      }),
    )

  array
    .command('probe')
    .argument('<name>')
    .description('ask an array who it is and what it can do')
    .addHelpText('after', '\nExample:\n  gantry array probe san1')
    .action(
      makeAction(async ({ client }, name: string) => {
        const probe = await client.call('inventory.probeArray', { name })
        return { value: probe, text: describeProbe(name, probe) }
      }),
    )

  array
    .command('remove')
    .argument('<name>')
    .description('forget an array; changes nothing on it')
    .addHelpText('after', '\nExample:\n  gantry array remove san1')
    .action(
      makeAction(async ({ client }, name: string) => {
        await client.call('inventory.removeArray', { name })
        return { value: { removed: name }, text: `Array ${name} is forgotten; nothing on it was changed.` }
      }),
    )

  array
    .command('volumes')
    .argument('<name>')
    .option('--refresh', 'ask the array instead of showing the last known state')
    .description('volumes of an array: room, and LUNs against their limit')
    .addHelpText('after', '\nExample:\n  gantry array volumes san1 --refresh')
    .action(
      makeAction(async ({ client }, name: string, options: { refresh?: boolean }) => {
        const volumes = await client.call('inventory.listVolumes', {
          array: name,
          refresh: options.refresh === true,
        })
        return { value: volumes, text: volumesTable(volumes) }
      }),
    )
}

async function addArray(tools: Tools, name: string, options: AddOptions): Promise<Outcome> {
  const connection = readConnection(options, tools.io.env)
  const config: InputOf<'inventory.addArray'> = {
    name,
    driver: 'linux-storage',
    connection,
    settings: {
      volumes: options.volume ?? {},
      portal: options.portal,
      ...present({
        tgtControlPort: options.tgtControlPort,
        iqnPrefix: options.iqnPrefix,
        lunLimitPerVolume: options.lunLimit,
      }),
    },
  }
  // before the device hears of us
  tools.client.check('inventory.addArray', config)
  await ensureHostKeys(tools, connection, options.acceptHostKey ?? [])
  const probe = await tools.client.call('inventory.addArray', config)
  return { value: probe, text: describeProbe(name, probe) }
}

const describeProbe = (name: string, { identity, checks }: Probe): string =>
  [
    `${name}: ${identity.vendor} ${identity.product} ${identity.version}, serial ${identity.serial}`,
    ...describeChecks(checks),
  ].join('\n')

const arraysTable = (arrays: readonly ArrayEntry[]): string =>
  arrays.length === 0
    ? 'No arrays yet; "gantry array add --help" shows how to add one.'
    : formatTable(arrays, [
        { title: 'ARRAY', value: ({ config }) => config.name },
        { title: 'ADDRESS', value: ({ config }) => config.connection.host },
        {
          title: 'PRODUCT',
          value: ({ identity }) => (identity ? `${identity.product} ${identity.version}` : '-'),
        },
        {
          title: 'VOLUMES',
          align: 'right',
          value: ({ config }) => String(Object.keys(config.settings.volumes).length),
        },
        { title: 'AS OF', value: ({ learntAt }) => learntAt ?? 'never asked' },
      ])

const describeArray = ({ config, identity, volumes, learntAt }: ArrayEntry): string =>
  [
    `Array     ${config.name}`,
    `Address   ${config.connection.host}`,
    `Portal    ${config.settings.portal}`,
    `Product   ${identity === undefined ? 'not known' : `${identity.vendor} ${identity.product} ${identity.version}`}`,
    `As of     ${learntAt ?? 'never asked'}`,
    ...Object.entries(config.settings.volumes).map(([name, path]) => `Volume    ${name} = ${path}`),
    ...(volumes.length === 0 ? [] : ['', volumesTable(volumes)]),
  ].join('\n')

export const volumesTable = (volumes: readonly Volume[]): string =>
  volumes.length === 0
    ? 'No volumes are known; --refresh asks the array.'
    : formatTable(volumes, [
        { title: 'VOLUME', value: ({ name }) => name },
        { title: 'PATH', value: ({ path }) => path },
        {
          title: 'FILE SYSTEM',
          value: ({ fileSystem, canReflink }) => `${fileSystem}${canReflink ? ', clones' : ''}`,
        },
        { title: 'SIZE', align: 'right', value: ({ sizeBytes }) => formatBytes(sizeBytes) },
        { title: 'USED', align: 'right', value: ({ usedBytes }) => formatBytes(usedBytes) },
        { title: 'FREE', align: 'right', value: ({ freeBytes }) => formatBytes(freeBytes) },
        { title: 'LUNS', align: 'right', value: ({ lunCount, lunLimit }) => `${lunCount} of ${lunLimit}` },
        { title: 'AS OF', value: ({ learntAt }) => learntAt },
      ])
