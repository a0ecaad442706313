import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import type { OperationInput } from '#shared/contract/operations.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { addPlanOption, addYesOption, runOperation } from '../operation.ts'
import type { OperationOptions } from '../operation.ts'
import { durationOption, present, wholeNumberOption } from '../parse-options.ts'
import { findContainer } from '../references.ts'
import { breakLockQuestion, breakLockText, locksToBreak } from '../break-lock.ts'
import type { MakeAction, Outcome, Tools } from '../tools.ts'

type DeployInput = Extract<OperationInput, { kind: 'deploy' }>
type ReadySign = NonNullable<DeployInput['wait']>

interface DeployOptions extends OperationOptions {
  readonly host: string
  readonly count?: number
  readonly namePattern?: string
  readonly start?: boolean
  readonly wait?: ReadySign
  readonly waitTimeout?: number
  readonly direct?: boolean
  readonly verify?: boolean
  readonly breakLock?: boolean
}

export function registerDeployCommand(program: Command, makeAction: MakeAction): void {
  const deploy = program
    .command('deploy')
    .argument('<container>', 'ARRAY/VOLUME/NAME, or NAME where only one has it')
    .description('make VMs from a container, each on a LUN of its own; nothing is formatted or copied')
    .requiredOption('--host <name>', 'the host that runs them')
    .option('--count <number>', 'how many (default: 1)', wholeNumberOption)
    .option(
      '--name-pattern <pattern>',
      'names of the VMs; {n} is the number, {n:03} with zeros (default: NAME-{n})',
    )
    .option('--start', 'start them')
    .option(
      '--wait <sign>',
      'with --start: wait until a guest is up, "serial:TEXT" or "agent"; {name} in TEXT is the name of the VM',
      readySign,
    )
    .option('--wait-timeout <duration>', 'how long to wait (default: 5m)', durationOption)
    .option('--verify', 'containers of disks: read each LUN back and compare the checksums')
    .option(
      '--direct',
      'use the container itself instead of a clone; it is then changed, and must be confirmed',
    )
    .option('--break-lock', `with --direct: ${breakLockText}`)
  addYesOption(addPlanOption(deploy))
    .addHelpText(
      'after',
      `
Examples:
  gantry deploy web --host kvm1 --start
  gantry deploy san1/vol1/web --host kvm1 --count 10 --name-pattern 'web-{n:02}' --start --wait serial:login:
  gantry deploy web --host kvm1 --plan`,
    )
    .action(makeAction(runDeploy))
}

function readySign(text: string): ReadySign {
  if (text === 'agent') return { kind: 'agent' }
  const serial = /^serial:(.+)$/s.exec(text)?.[1]
  if (serial === undefined) throw new InvalidArgumentError('Write "serial:TEXT" or "agent".')
  return { kind: 'serial', text: serial }
}

async function runDeploy(tools: Tools, name: string, options: DeployOptions): Promise<Outcome> {
  if (options.wait !== undefined && options.start !== true)
    throw new AppError('bad-request', '--wait needs --start', {
      advice: 'A VM that is not started never gets up.',
    })
  const reference = await findContainer(tools.client, name)
  const { array, volume, container } = reference
  const operation: DeployInput = {
    kind: 'deploy',
    ...reference,
    host: options.host,
    namePattern: options.namePattern ?? `${container}-{n}`,
    ...present({
      count: options.count,
      start: options.start,
      wait: options.wait,
      waitTimeoutMs: options.waitTimeout,
      direct: options.direct,
      verify: options.verify,
      breakLock: options.breakLock,
    }),
  }
  const question = `The VM will change container ${array}/${volume}/${container} itself. Use it without a clone?`
  const locks =
    options.breakLock === true && options.plan !== true ? await locksToBreak(tools, operation) : undefined
  const questions = [
    ...(options.direct === true ? [question] : []),
    ...(locks === undefined || locks.length === 0 ? [] : [breakLockQuestion(locks)]),
  ].join(' ')
  const started = locks === undefined ? operation : { ...operation, breakLock: locks }
  return runOperation(tools, started, options, questions === '' ? undefined : questions)
}
