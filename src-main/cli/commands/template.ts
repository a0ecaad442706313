import type { Command } from 'commander'
import type { Template } from '#shared/domain/compute.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import { formatTable } from '../table.ts'
import { addSourceLoginOptions, addSourceOptions, reachSource, readSource } from '../template-source.ts'
import type { SourceOptions } from '../template-source.ts'
import type { MakeAction } from '../tools.ts'

export function registerTemplateCommands(program: Command, makeAction: MakeAction): void {
  const template = program.command('template').description('VM data that can be staged')
  addSourceLoginOptions(
    addSourceOptions(
      template.command('show').requiredOption('--host <name>', 'the host that would stage it'),
    ),
  )
    .description('read VM data and show what would be staged; changes nothing')
    .addHelpText(
      'after',
      `
Examples:
  gantry template show --host kvm1 --domain debian-12
  gantry template show --host kvm1 --ovf ./appliance.ova --json`,
    )
    .action(
      makeAction(async (tools, options: SourceOptions & { host: string }) => {
        const { client, io } = tools
        const input = { host: options.host, source: readSource(options, io.env) }
        client.check('inventory.readTemplate', input)
        await reachSource(tools, input.source, options)
        const read = await client.call('inventory.readTemplate', input)
        return { value: read, text: describeTemplate(read) }
      }),
    )
}

const describeTemplate = ({ name, vm, files, warnings }: Template): string =>
  [
    `${name}: ${vm.cpus} CPU, ${formatBytes(vm.memoryBytes)} of memory, ${vm.firmware}`,
    formatTable(files, [
      { title: 'FILE', value: (file) => file.name },
      { title: 'SIZE', align: 'right', value: (file) => formatBytes(file.sizeBytes) },
      { title: 'DISK', value: ({ disk }) => (disk === undefined ? '-' : `${disk.index}, ${disk.format}`) },
      {
        title: 'VIRTUAL SIZE',
        align: 'right',
        value: ({ disk }) => (disk ? formatBytes(disk.virtualSizeBytes) : '-'),
      },
      { title: 'FROM', value: (file) => file.source },
    ]),
    ...warnings.map((warning) => `Warning: ${warning}`),
  ].join('\n')
