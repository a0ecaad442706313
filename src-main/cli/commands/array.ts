import { resolve } from 'node:path'
import { Option } from 'commander'
import type { Command } from 'commander'
import type { InputOf, OutputOf } from '#shared/contract/index.ts'
import type { SecretSource } from '#shared/domain/connection.ts'
import { placeOfArray } from '#shared/domain/place.ts'
import type { Volume } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import { describeChecks } from '../describe-checks.ts'
import { digestsOption, readDigests, type DigestsChoice } from '../digests-option.ts'
import { ensureHostKeys } from '../host-keys.ts'
import { keyValue, present, wholeNumberOption } from '../parse-options.ts'
import { pickNamed } from '../pick-named.ts'
import { secretVariable } from '../secret-variable.ts'
import { addSshOptions, readConnection } from '../ssh-options.ts'
import type { SshOptions } from '../ssh-options.ts'
import { formatTable } from '../table.ts'
import type { MakeAction, Outcome, Tools } from '../tools.ts'

type ArrayEntry = OutputOf<'inventory.listArrays'>[number]
type Probe = OutputOf<'inventory.probeArray'>

interface AddOptions extends SshOptions {
  readonly driver: 'linux-storage' | 'embedded'
  readonly volume?: Record<string, string>
  readonly portal?: string
  readonly tgtControlPort?: number
  readonly iqnPrefix?: string
  readonly lunLimit?: number
  readonly chapUser?: string
  readonly chapSecretEnv?: string
  readonly openToNetwork?: boolean
  readonly digests?: DigestsChoice
}

export function registerArrayCommands(program: Command, makeAction: MakeAction): void {
  const array = program.command('array').description('storage arrays')

  addSshOptions(array.command('add').argument('<name>'))
    .description('record an array and look at what it can do; changes nothing on it')
    .addOption(
      new Option('--driver <driver>', 'what it is; embedded: this computer itself, no storage hardware')
        .choices(['linux-storage', 'embedded'])
        .default('linux-storage'),
    )
    .option('--portal <address>', 'where hosts log in, HOST:PORT (embedded: default 127.0.0.1, a free port)')
    .option(
      '--volume <name=path>',
      'a directory that containers may lie in; may be given several times',
      keyValue,
    )
    .option('--open-to-network', 'embedded: other computers may reach the portal; needs --chap-user')
    .option('--chap-user <name>', 'embedded: what initiators must log in with')
    .option('--chap-secret-env <variable>', 'embedded: read the CHAP secret from this variable when needed')
    .addOption(digestsOption("insist on CRC-32C checksums in the console's own iSCSI sessions"))
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
    --accept-host-key SHA256:...
  gantry array add lab --driver embedded --volume vol1=./folder`,
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
    .command('stop')
    .argument('<name>')
    .option('--force', 'also while initiators are logged in: they lose their disks')
    .description('end the process that serves the LUNs of an embedded array; they come back when it is used')
    .addHelpText('after', '\nExample:\n  gantry array stop lab')
    .action(
      makeAction(async ({ client }, name: string, { force = false }: { force?: boolean }) => {
        await client.call('inventory.stopArray', { name, force })
        return { value: { stopped: name }, text: `Array ${name} serves no LUNs now; they are kept.` }
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
  const config =
    options.driver === 'embedded' ? embedded(tools, name, options) : linuxStorage(tools, name, options)
  // before the device hears of us
  tools.client.check('inventory.addArray', config)
  if (config.driver === 'linux-storage')
    await ensureHostKeys(tools, config.connection, options.acceptHostKey ?? [])
  const probe = await tools.client.call('inventory.addArray', config)
  const note = config.driver === 'embedded' ? `\n${thisComputer}` : ''
  return { value: probe, text: `${describeProbe(name, probe)}${note}` }
}

const thisComputer =
  'This array is this computer: its volumes are folders, and its LUNs are served by a process of Gantry that goes on ' +
  'when the console ends, not by storage hardware.'

type NewArray = InputOf<'inventory.addArray'>
type NewArrayOf<Driver extends NewArray['driver']> = Extract<NewArray, { driver: Driver }>

function linuxStorage(tools: Tools, name: string, options: AddOptions): NewArrayOf<'linux-storage'> {
  const { portal } = options
  if (portal === undefined) throw missing('--portal', options)
  refuseOptions(options, ['openToNetwork', 'chapUser', 'chapSecretEnv'])
  return {
    name,
    driver: 'linux-storage',
    connection: readConnection(options, tools.io.env),
    settings: {
      volumes: options.volume ?? {},
      portal,
      ...present({ tgtControlPort: options.tgtControlPort }),
      ...targetSettings(options),
    },
  }
}

function embedded(tools: Tools, name: string, options: AddOptions): NewArrayOf<'embedded'> {
  refuseOptions(options, ['ssh', 'tgtControlPort'])
  const { chapUser, chapSecretEnv } = options
  return {
    name,
    driver: 'embedded',
    settings: {
      volumes: Object.fromEntries(
        Object.entries(options.volume ?? {}).map(([volume, path]) => [volume, resolve(path)]),
      ),
      ...present({
        portal: options.portal,
        openToNetwork: options.openToNetwork,
        login:
          chapUser === undefined ? undefined : { user: chapUser, password: secretFrom(chapSecretEnv, tools) },
      }),
      ...targetSettings(options),
    },
  }
}

const secretFrom = (variable: string | undefined, { io }: Tools): SecretSource =>
  variable === undefined ? { from: 'prompt' } : secretVariable(variable, '--chap-secret-env', io.env)

const targetSettings = ({ iqnPrefix, lunLimit, digests }: AddOptions) =>
  present({ iqnPrefix, lunLimitPerVolume: lunLimit, digests: readDigests(digests) })

const missing = (option: string, { driver }: AddOptions): AppError =>
  new AppError('bad-request', `An array with the driver ${driver} needs ${option}`, {
    advice: '"gantry array add --help" shows examples.',
  })

function refuseOptions(options: AddOptions, names: readonly (keyof AddOptions)[]): void {
  for (const name of names)
    if (options[name] !== undefined)
      throw new AppError(
        'bad-request',
        `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} means nothing with the driver ${options.driver}`,
      )
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
        { title: 'PLACE', value: ({ config }) => placeOfArray(config) },
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

const describeArray = ({ config, identity, volumes, learntAt, learntHow }: ArrayEntry): string =>
  [
    `Array     ${config.name}`,
    `Place     ${placeOfArray(config)}`,
    `Portal    ${config.settings.portal}`,
    `Product   ${identity === undefined ? 'not known' : `${identity.vendor} ${identity.product} ${identity.version}`}`,
    `As of     ${learntAt ?? 'never asked'}${learntHow === undefined ? '' : ` (${learntHow})`}`,
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
