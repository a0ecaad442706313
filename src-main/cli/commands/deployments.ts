import { Option } from 'commander'
import type { Command } from 'commander'
import type { OperationOf } from '#shared/contract/operations.ts'
import type { Deployment } from '#shared/domain/compute.ts'
import { breakLockQuestion, breakLockText, locksToBreak } from '../break-lock.ts'
import { addPlanOption, addYesOption, runOperation } from '../operation.ts'
import type { OperationOptions } from '../operation.ts'
import { present } from '../parse-options.ts'
import { formatTable } from '../table.ts'
import type { MakeAction } from '../tools.ts'

interface RestoreOptions extends OperationOptions {
  readonly host?: string
  readonly start: OperationOf<'restore-deployments'>['start']
  readonly breakLock?: boolean
}

export function registerDeploymentCommands(program: Command, makeAction: MakeAction): void {
  const group = program.command('deployments').description('VMs that were made from containers')

  group
    .command('list')
    .description('the deployments')
    .addHelpText('after', '\nExample:\n  gantry deployments list --json')
    .action(
      makeAction(async ({ client }) => {
        const deployments = await client.call('inventory.listDeployments', {})
        return { value: deployments, text: deploymentsTable(deployments) }
      }),
    )

  addYesOption(addPlanOption(group.command('restore')))
    .argument('[name...]', 'deployments; default: all of the host')
    .description(
      'after a restart of a host: attach, mount, register and start again what its deployments lack',
    )
    .option('--host <name>', 'the host')
    .addOption(
      new Option('--start <which>', 'which to start; "deployed": those started when they were deployed')
        .choices(['deployed', 'all', 'none'])
        .default('deployed'),
    )
    .option('--break-lock', breakLockText)
    .addHelpText(
      'after',
      '\nExamples:\n  gantry deployments restore --host kvm1 --plan\n  gantry deployments restore web-1 web-2 --start all',
    )
    .action(
      makeAction(async (tools, names: string[], { host, start, breakLock, ...options }: RestoreOptions) => {
        const operation = {
          kind: 'restore-deployments' as const,
          deployments: names,
          start,
          ...present({ host, breakLock }),
        }
        if (breakLock !== true || options.plan === true) return runOperation(tools, operation, options)
        const locks = await locksToBreak(tools, operation)
        const question = locks.length === 0 ? undefined : breakLockQuestion(locks)
        return runOperation(tools, { ...operation, breakLock: locks }, options, question)
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
