import type { Command } from 'commander'
import { AppError } from '#shared/errors/app-error.ts'
import type { Client } from '../client.ts'
import { addPlanOption, runOperation } from '../operation.ts'
import type { OperationOptions } from '../operation.ts'
import { fileOption } from '../parse-options.ts'
import { findContainer } from '../references.ts'
import type { MakeAction } from '../tools.ts'

interface ExportOptions extends OperationOptions {
  readonly to: string
  readonly host?: string
}

export function registerExportCommand(containers: Command, makeAction: MakeAction): void {
  addPlanOption(containers.command('export'))
    .argument('<container>', 'ARRAY/VOLUME/NAME, or NAME where only one has it')
    .description('bring the files of a staged VM to a folder of this computer; the container stays')
    .requiredOption('--to <folder>', 'the new folder; it must not be there yet', fileOption)
    .option('--host <name>', 'the host that reads them (default: the only one)')
    .addHelpText(
      'after',
      `
Examples:
  gantry containers export web --to ./web --plan
  gantry containers export san1/vol1/web --to /backup/web --host kvm1
  gantry stage --folder /backup/web --host kvm1 --to san1/vol1/web-again`,
    )
    .action(
      makeAction(async (tools, name: string, options: ExportOptions) =>
        runOperation(
          tools,
          {
            kind: 'export',
            ...(await findContainer(tools.client, name)),
            host: options.host ?? (await onlyHost(tools.client)),
            folder: options.to,
          },
          options,
        ),
      ),
    )
}

async function onlyHost(client: Client): Promise<string> {
  const names = (await client.call('inventory.listHosts', {})).map(({ config }) => config.name)
  const [only] = names
  if (only !== undefined && names.length === 1) return only
  throw new AppError('bad-request', 'It is not said which host is to read the container', {
    facts: { hosts: names.join(', ') || 'none' },
    advice: 'Name it with --host.',
  })
}
