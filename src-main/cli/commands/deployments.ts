import type { Command } from 'commander'
import type { Deployment } from '#shared/domain/compute.ts'
import { addPlanOption, addYesOption, runOperation } from '../operation.ts'
import type { OperationOptions } from '../operation.ts'
import { formatTable } from '../table.ts'
import type { MakeAction } from '../tools.ts'

export function registerDeploymentCommands(program: Command, makeAction: MakeAction): void {
  program
    .command('deployments')
    .description('VMs that were made from containers')
    .command('list')
    .description('the deployments')
    .addHelpText('after', '\nExample:\n  gantry deployments list --json')
    .action(
      makeAction(async ({ client }) => {
        const deployments = await client.call('inventory.listDeployments', {})
        return { value: deployments, text: deploymentsTable(deployments) }
      }),
    )

  addYesOption(addPlanOption(program.command('decommission')))
    .argument('<name...>', 'deployments')
    .description(
      'remove deployed VMs with their LUNs and clones; the container stays as it is; must be confirmed',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  gantry decommission web-1 --plan\n  gantry decommission web-1 web-2 --yes',
    )
    .action(
      makeAction((tools, names: string[], options: OperationOptions) =>
        runOperation(
          tools,
          { kind: 'decommission', deployments: names },
          options,
          `Remove ${names.join(', ')} and everything written there since the deployment?`,
        ),
      ),
    )
}

const deploymentsTable = (deployments: readonly Deployment[]): string =>
  deployments.length === 0
    ? 'No VM is deployed from a container.'
    : formatTable(deployments, [
        { title: 'DEPLOYMENT', value: ({ name }) => name },
        { title: 'HOST', value: ({ host }) => host },
        {
          title: 'CONTAINER',
          value: ({ container }) => `${container.array}/${container.volume}/${container.name}`,
        },
        { title: 'RUNS ON', value: ({ backing }) => `${backing.kind} ${backing.name}` },
        { title: 'LUN', value: ({ lun }) => lun.name },
        { title: 'VM UUID', value: ({ vm }) => vm.uuid },
        { title: 'DEPLOYED', value: ({ deployedAt }) => deployedAt },
      ])
