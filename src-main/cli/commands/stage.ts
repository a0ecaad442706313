import { Option } from 'commander'
import type { Command } from 'commander'
import type { OperationInput } from '#shared/contract/operations.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { addPlanOption, runOperation } from '../operation.ts'
import type { OperationOptions } from '../operation.ts'
import { percentOption, present, sizeOption } from '../parse-options.ts'
import { parseContainer } from '../references.ts'
import { addSourceLoginOptions, addSourceOptions, reachSource, readSource } from '../template-source.ts'
import type { SourceOptions } from '../template-source.ts'
import type { MakeAction } from '../tools.ts'

type StageInput = Extract<OperationInput, { kind: 'stage' }>
type StageDisksInput = Extract<OperationInput, { kind: 'stage-disks' }>

interface StageOptions extends SourceOptions, OperationOptions {
  readonly layout: 'files' | 'disks'
  readonly host?: string
  readonly portal?: string
  readonly to: string
  readonly fileSystem?: NonNullable<StageInput['fileSystem']>
  readonly os?: NonNullable<StageInput['osType']>
  readonly partitionTable?: NonNullable<StageInput['partitionTable']>
  readonly headroom?: number
  readonly size?: number
  readonly notes?: string
}

export function registerStageCommand(program: Command, makeAction: MakeAction): void {
  const stage = program
    .command('stage')
    .description('put a VM into a container: once formatted and copied, it is deployed without either')
    .addOption(
      new Option(
        '--layout <layout>',
        'files: a file system that a host formats and fills; disks: the images as they are, written by this console',
      )
        .choices(['files', 'disks'])
        .default('files'),
    )
    .option('--host <name>', 'layout files: the host that formats and copies')
    .requiredOption('--to <container>', 'the new container, ARRAY/VOLUME/NAME')
  addSourceLoginOptions(
    addPlanOption(addSourceOptions(stage))
      .addOption(
        new Option('--file-system <type>', 'file system of the container (default: ext4)').choices([
          'ext4',
          'xfs',
          'ntfs',
        ]),
      )
      .addOption(
        new Option('--os <type>', 'OS of the hosts that it is for (default: linux)').choices([
          'linux',
          'windows',
          'vmware',
        ]),
      )
      .addOption(
        new Option('--partition-table <type>', 'partition table (default: gpt)').choices(['gpt', 'mbr']),
      )
      .option('--headroom <percent>', 'room beyond the VM data (default: 10)', percentOption)
      .option('--size <size>', 'size of the container instead of the computed one, like 20G', sizeOption)
      .option('--portal <address>', 'layout disks: the array’s portal as this console reaches it')
      .option('--notes <text>', 'notes that are kept in the container'),
  )
    .addHelpText(
      'after',
      `
Examples:
  gantry stage --host kvm1 --domain debian-12 --to san1/vol1/web
  gantry stage --host kvm1 --image ./web.qcow2 --memory 2G --cpus 2 --to san1/vol1/web --plan
  gantry stage --host kvm1 --ovf ./appliance.ova --to san1/vol1/appliance --headroom 25
  gantry stage --host kvm1 --folder sftp://root@files1/srv/templates/web --to san1/vol1/web
  gantry stage --layout disks --image ./web.raw --memory 2G --to here/vol1/web`,
    )
    .action(
      makeAction(async (tools, options: StageOptions) => {
        const { env } = tools.io
        const input = options.layout === 'disks' ? readStageDisks(options, env) : readStage(options, env)
        // before the server hears of us
        tools.client.check('operations.start', input)
        await reachSource(tools, input.source, options)
        return runOperation(tools, input, options)
      }),
    )
}

function readStage(options: StageOptions, env: NodeJS.ProcessEnv): StageInput {
  if (options.host === undefined)
    throw new AppError('bad-request', 'It is not said which host formats and copies', {
      advice: 'Give --host, or --layout disks: no host takes part then.',
    })
  refuse('files', { '--portal': options.portal })
  return {
    kind: 'stage',
    ...parseContainer(options.to),
    host: options.host,
    source: readSource(options, env),
    ...present({
      fileSystem: options.fileSystem,
      osType: options.os,
      partitionTable: options.partitionTable,
      headroomPercent: options.headroom,
      sizeBytes: options.size,
      notes: options.notes,
    }),
  }
}

function readStageDisks(options: StageOptions, env: NodeJS.ProcessEnv): StageDisksInput {
  refuse('disks', {
    '--host': options.host,
    '--file-system': options.fileSystem,
    '--partition-table': options.partitionTable,
    '--headroom': options.headroom,
    '--size': options.size,
  })
  return {
    kind: 'stage-disks',
    ...parseContainer(options.to),
    source: readSource(options, env),
    ...present({ osType: options.os, portal: options.portal, notes: options.notes }),
  }
}

function refuse(layout: string, options: Readonly<Record<string, unknown>>): void {
  const given = Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  if (given.length > 0)
    throw new AppError('bad-request', `${given.join(', ')} means nothing for the layout "${layout}"`, {
      advice: 'Leave it out, or choose the other layout.',
    })
}
