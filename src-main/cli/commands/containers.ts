import type { Command } from 'commander'
import type { OutputOf } from '#shared/contract/index.ts'
import type { Container } from '#shared/domain/storage.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import { addPlanOption, addYesOption, runOperation } from '../operation.ts'
import type { OperationOptions } from '../operation.ts'
import { present, sizeOption } from '../parse-options.ts'
import { findContainer, parseContainer } from '../references.ts'
import { formatTable } from '../table.ts'
import type { MakeAction } from '../tools.ts'
import { registerExportCommand } from './export.ts'

type Details = OutputOf<'inventory.showContainer'>

interface ListOptions {
  readonly array?: string
  readonly volume?: string
  readonly refresh?: boolean
}

export function registerContainerCommands(program: Command, makeAction: MakeAction): void {
  const containers = program
    .command('containers')
    .alias('container')
    .description('containers: staged VMs on arrays')

  containers
    .command('list')
    .description('the known containers')
    .option('--array <name>', 'of this array only')
    .option('--volume <name>', 'of this volume only')
    .option('--refresh', 'ask the arrays instead of showing the last known state')
    .addHelpText(
      'after',
      '\nExamples:\n  gantry containers list\n  gantry containers list --array san1 --refresh --json',
    )
    .action(
      makeAction(async ({ client }, options: ListOptions) => {
        const { array, volume, refresh } = options
        const listed = await client.call('inventory.listContainers', {
          ...present({ array, volume }),
          refresh: refresh === true,
        })
        return { value: listed, text: containersTable(listed) }
      }),
    )

  containers
    .command('show')
    .argument('<container>', 'ARRAY/VOLUME/NAME, or NAME where only one has it')
    .description('read a container and show what it says about itself')
    .addHelpText('after', '\nExample:\n  gantry containers show san1/vol1/web')
    .action(
      makeAction(async ({ client }, name: string) => {
        const details = await client.call('inventory.showContainer', await findContainer(client, name))
        return { value: details, text: describeContainer(details) }
      }),
    )

  registerExportCommand(containers, makeAction)

  addPlanOption(containers.command('create'))
    .argument('<container>', 'ARRAY/VOLUME/NAME')
    .requiredOption('--size <size>', 'its size, like 20G', sizeOption)
    .description('make an empty container')
    .addHelpText('after', '\nExample:\n  gantry containers create san1/vol1/scratch --size 20G')
    .action(
      makeAction((tools, name: string, options: OperationOptions & { size: number }) =>
        runOperation(
          tools,
          { kind: 'create-container', ...parseContainer(name), sizeBytes: options.size },
          options,
        ),
      ),
    )

  addYesOption(addPlanOption(containers.command('delete')))
    .argument('<container>', 'ARRAY/VOLUME/NAME, or NAME where only one has it')
    .description('delete a container and the VM data in it; must be confirmed')
    .addHelpText(
      'after',
      '\nExamples:\n  gantry containers delete san1/vol1/web --plan\n  gantry containers delete san1/vol1/web',
    )
    .action(
      makeAction(async (tools, name: string, options: OperationOptions) => {
        const reference = await findContainer(tools.client, name)
        const { array, volume, container } = reference
        const question = `Delete container ${array}/${volume}/${container} and the VM data in it?`
        return runOperation(tools, { kind: 'delete-container', ...reference }, options, question)
      }),
    )
}

const containersTable = (containers: readonly Container[]): string =>
  containers.length === 0
    ? 'No containers are known; --refresh asks the arrays.'
    : formatTable(containers, [
        { title: 'CONTAINER', value: ({ array, volume, name }) => `${array}/${volume}/${name}` },
        { title: 'SIZE', align: 'right', value: ({ sizeBytes }) => formatBytes(sizeBytes) },
        { title: 'OS TYPE', value: ({ staged }) => staged?.osType ?? '' },
        { title: 'FILE SYSTEM', value: ({ staged }) => staged?.fileSystem ?? '' },
        { title: 'TEMPLATE', value: ({ staged, state }) => staged?.templateName ?? `(${state})` },
        { title: 'STAGED', value: ({ staged }) => staged?.stagedAt ?? '' },
        { title: 'AS OF', value: ({ learntAt }) => learntAt },
      ])

const stateWords = {
  ok: 'its description verifies',
  newer: 'written by a newer Gantry',
  damaged: 'marked as a container, but no copy of its description verifies',
  empty: 'holds no staged VM',
} as const

function describeContainer({ facts, state, problems, header, generation }: Details): string {
  const lines = [
    `Container    ${facts.volume}/${facts.name}`,
    `State        ${stateWords[state]}`,
    ...problems.map((problem) => `Problem      ${problem}`),
    `Size         ${formatBytes(facts.sizeBytes)}, ${formatBytes(facts.allocatedBytes)} allocated${
      facts.uniqueBytes === undefined ? '' : `, ${formatBytes(facts.uniqueBytes)} shared with nothing`
    }`,
  ]
  if (header === undefined) return lines.join('\n')
  return [
    ...lines,
    `Unit         ${header.unitId}${generation === undefined ? '' : `, generation ${generation}`}`,
    `VM           ${header.vm.name}, ${header.vm.cpus} CPU, ${formatBytes(header.vm.memoryBytes)}, ${header.vm.hypervisor}`,
    `Fits         ${header.osType}, ${header.fileSystem?.type ?? 'disks without a file system'}`,
    `Staged       ${header.stagedAt} from ${header.stagedFrom}`,
    ...(header.notes === '' ? [] : [`Notes        ${header.notes}`]),
    '',
    formatTable(header.files, [
      { title: 'FILE', value: ({ path }) => path },
      { title: 'SIZE', align: 'right', value: ({ sizeBytes }) => formatBytes(sizeBytes) },
      { title: 'SHA-256', value: ({ sha256 }) => sha256 },
    ]),
  ].join('\n')
}
