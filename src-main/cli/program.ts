import { Command, Option } from 'commander'
import { registerArrayCommands } from './commands/array.ts'
import { registerContainerCommands } from './commands/containers.ts'
import { registerDemoCommand } from './commands/demo.ts'
import { registerDeployCommand } from './commands/deploy.ts'
import { registerDeploymentCommands } from './commands/deployments.ts'
import { registerHostCommands } from './commands/host.ts'
import { registerJobCommands } from './commands/jobs.ts'
import { registerLunCommands } from './commands/lun.ts'
import { registerStageCommand } from './commands/stage.ts'
import { registerTemplateCommands } from './commands/template.ts'
import { registerUnitCommands } from './commands/unit.ts'
import type { CliIo } from './io.ts'
import type { MakeAction, MakeLoneAction } from './tools.ts'

export interface ProgramParts {
  readonly io: CliIo
  readonly version: string
  readonly makeAction: MakeAction
  readonly makeLoneAction: MakeLoneAction
}

const epilogue = `
Containers are named ARRAY/VOLUME/NAME, or NAME alone where only one has it.
Secrets are asked for on the terminal, or read from a variable (--password-env); they are never arguments.

Exit codes: 0 done, 1 fault in Gantry, 2 wrong input, 3 not found, 4 busy, 5 unreachable, 6 not authenticated,
7 not supported, 8 refused by a device, 9 timeout, 10 a job needs the operator, 11 stale, 130 cancelled.

Examples:
  gantry array add san1 --ssh root@san1.lab --volume vol1=/srv/vol1 --portal 192.0.2.10:3260
  gantry host add kvm1 --ssh root@kvm1.lab
  gantry stage --host kvm1 --domain debian-12 --to san1/vol1/web --plan
  gantry deploy web --host kvm1 --count 3 --start`

/** The whole command line: one group of commands per file of commands/. */
export function buildProgram({ io, version, makeAction, makeLoneAction }: ProgramParts): Command {
  const program = new Command('gantry')
    .description(
      'Stages VMs into containers on storage arrays and deploys them without formatting or copying.',
    )
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .option(
      '--data-dir <folder>',
      'where the inventory lies (default: GANTRY_DATA_DIR, then the platform’s folder)',
    )
    .option('--json', 'print one JSON document on standard output: the result, or {"error": ...}')
    .addOption(
      new Option('--json-progress', 'print the events of running jobs as JSON lines on standard error'),
    )
    .addHelpText('after', epilogue)
  prepare(program, io)
  registerArrayCommands(program, makeAction)
  registerHostCommands(program, makeAction)
  registerTemplateCommands(program, makeAction)
  registerStageCommand(program, makeAction)
  registerContainerCommands(program, makeAction)
  registerDeployCommand(program, makeAction)
  registerDeploymentCommands(program, makeAction)
  registerLunCommands(program, makeAction)
  registerUnitCommands(program, makeAction)
  registerJobCommands(program, makeAction)
  registerDemoCommand(program, makeLoneAction)
  return program
}

/** Before the commands are registered: they inherit these settings. */
function prepare(program: Command, io: CliIo): void {
  program
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showHelpAfterError('(--help shows how it is used)')
    .configureOutput({
      writeOut: (text) => io.out.write(text),
      writeErr: (text) => io.err.write(text),
      getOutHelpWidth: () => io.out.columns ?? 110,
      getErrHelpWidth: () => io.err.columns ?? 110,
    })
}
