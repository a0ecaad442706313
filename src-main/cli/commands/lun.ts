import { Option } from 'commander'
import type { Command } from 'commander'
import type { OperationInput } from '#shared/contract/operations.ts'
import type { LunFacts } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import type { Client } from '../client.ts'
import { addPlanOption, addYesOption, runOperation } from '../operation.ts'
import type { OperationOptions } from '../operation.ts'
import { present } from '../parse-options.ts'
import { pickNamed } from '../pick-named.ts'
import { parseLun } from '../references.ts'
import { formatTable } from '../table.ts'
import type { MakeAction } from '../tools.ts'

type CreateInput = Extract<OperationInput, { kind: 'create-lun' }>

interface CreateOptions extends OperationOptions {
  readonly volume: string
  readonly container?: string
  readonly snapshot?: string
  readonly clone?: string
  readonly os?: NonNullable<CreateInput['osType']>
}

interface MapOptions extends OperationOptions {
  readonly host?: string
  readonly initiator?: string
}

export function registerLunCommands(program: Command, makeAction: MakeAction): void {
  const lun = program.command('lun').description('LUNs of arrays, step by step')

  lun
    .command('list')
    .argument('[array]', 'one array; default: all')
    .description('ask for the LUNs of arrays')
    .addHelpText('after', '\nExample:\n  gantry lun list san1')
    .action(
      makeAction(async ({ client }, array?: string) => {
        const luns = await listLuns(client, array)
        return { value: luns, text: lunsTable(luns) }
      }),
    )

  addPlanOption(lun.command('create'))
    .argument('<lun>', 'ARRAY/LUN')
    .description('make a LUN from a file of a volume')
    .requiredOption('--volume <name>', 'the volume that the file is on')
    .option('--container <name>', 'make it from this container')
    .option('--snapshot <name>', 'make it from this snapshot')
    .option('--clone <name>', 'make it from this clone')
    .addOption(
      new Option('--os <type>', 'OS of the host that uses it (default: linux)').choices([
        'linux',
        'windows',
        'vmware',
      ]),
    )
    .addHelpText('after', '\nExample:\n  gantry lun create san1/web-lun --volume vol1 --container web')
    .action(
      makeAction((tools, name: string, options: CreateOptions) =>
        runOperation(tools, readCreate(name, options), options),
      ),
    )

  for (const [verb, kind, words] of [
    ['map', 'map-lun', 'let a host log in to a LUN'],
    ['unmap', 'unmap-lun', 'take a LUN from a host again'],
  ] as const)
    addPlanOption(lun.command(verb))
      .argument('<lun>', 'ARRAY/LUN')
      .description(words)
      .option('--host <name>', 'the host')
      .option('--initiator <name>', 'an initiator name instead of a host')
      .addHelpText('after', `\nExample:\n  gantry lun ${verb} san1/web-lun --host kvm1`)
      .action(
        makeAction(async (tools, name: string, options: MapOptions) => {
          const initiator = await findInitiator(tools.client, options)
          return runOperation(tools, { kind, ...parseLun(name), initiator }, options)
        }),
      )

  addYesOption(addPlanOption(lun.command('destroy')))
    .argument('<lun>', 'ARRAY/LUN')
    .description('destroy a LUN; the file behind it stays; must be confirmed')
    .addHelpText('after', '\nExample:\n  gantry lun destroy san1/web-lun')
    .action(
      makeAction((tools, name: string, options: OperationOptions) =>
        runOperation(tools, { kind: 'destroy-lun', ...parseLun(name) }, options, `Destroy LUN ${name}?`),
      ),
    )

  addPlanOption(lun.command('restore'))
    .argument('<array>')
    .description('make the LUNs of deployments again that the array has lost')
    .addHelpText('after', '\nExample:\n  gantry lun restore san1 --plan')
    .action(
      makeAction((tools, array: string, options: OperationOptions) =>
        runOperation(tools, { kind: 'restore-luns', array }, options),
      ),
    )
}

async function listLuns(client: Client, array: string | undefined): Promise<LunFacts[]> {
  const arrays =
    array === undefined
      ? (await client.call('inventory.listArrays', {})).map(({ config }) => config.name)
      : [array]
  return (await Promise.all(arrays.map((name) => client.call('inventory.listLuns', { array: name })))).flat()
}

function readCreate(name: string, options: CreateOptions): CreateInput {
  const objects = (['container', 'snapshot', 'clone'] as const).flatMap((kind) => {
    const object = options[kind]
    return object === undefined ? [] : [{ kind, name: object }]
  })
  const [object] = objects
  if (object === undefined || objects.length > 1)
    throw new AppError('bad-request', 'It is not clear which file the LUN is made from', {
      object: `LUN ${name}`,
      advice: 'Give exactly one of --container, --snapshot and --clone.',
    })
  return {
    kind: 'create-lun',
    ...parseLun(name),
    volume: options.volume,
    object,
    ...present({ osType: options.os }),
  }
}

async function findInitiator(client: Client, { host, initiator }: MapOptions): Promise<string> {
  if ((host === undefined) === (initiator === undefined))
    throw new AppError('bad-request', 'It is not clear for whom', {
      advice: 'Give either --host or --initiator.',
    })
  if (host === undefined) return initiator ?? ''
  const { config, facts } = pickNamed(await client.call('inventory.listHosts', {}), 'host', host)
  const name = config.settings.initiatorName ?? facts?.initiatorName
  if (name === undefined)
    throw new AppError('not-found', 'The initiator name of the host is not known', {
      object: `host ${host}`,
      advice: `Ask the host with "gantry host probe ${host}".`,
    })
  return name
}

const lunsTable = (luns: readonly LunFacts[]): string =>
  luns.length === 0
    ? 'There are no LUNs.'
    : formatTable(luns, [
        { title: 'LUN', value: ({ array, name }) => `${array}/${name}` },
        { title: 'SIZE', align: 'right', value: ({ sizeBytes }) => formatBytes(sizeBytes) },
        {
          title: 'MADE FROM',
          value: ({ backing, backingPath }) =>
            backing ? `${backing.kind} ${backing.volume}/${backing.name}` : backingPath,
        },
        { title: 'BY', value: ({ ours }) => (ours ? 'gantry' : 'others') },
        { title: 'SERIAL', value: ({ serial }) => serial },
        { title: 'MAPPED TO', value: ({ mappedTo }) => mappedTo.join(', ') || '-' },
        { title: 'LOGGED IN', value: ({ sessions }) => sessions.join(', ') || '-' },
      ])
