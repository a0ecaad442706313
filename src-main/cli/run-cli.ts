import { Command, CommanderError } from 'commander'
import { findDataDir } from '#main/app/data-dir.ts'
import type { Gantry, GantryOptions } from '#main/app/gantry.ts'
import { AppError, toAppError } from '#shared/errors/app-error.ts'
import { describeError, exitCodes } from '#shared/errors/user-text.ts'
import { encodeError } from '#shared/errors/wire-error.ts'
import { createClient } from './client.ts'
import { fieldNames } from './field-names.ts'
import { printable } from './io.ts'
import type { CliIo } from './io.ts'
import { buildProgram } from './program.ts'
import type { GlobalOptions, MakeAction, MakeLoneAction, Outcome, Tools } from './tools.ts'

export interface CliParts {
  readonly io: CliIo
  readonly version: string
  readonly openGantry: (options: GantryOptions) => Promise<Gantry>
}

/** Commander passes what the declaration of the command says; the types of its action repeat it. */
type AnyRun = (tools: Tools, ...args: unknown[]) => Promise<Outcome>

/**
 * Runs one command. Resolves with the exit code: 0, those of errors/user-text.ts, 10 when a job needs the operator.
 * Never rejects. `args` are those after the program's name.
 */
export async function runCli(args: readonly string[], parts: CliParts): Promise<number> {
  const { io } = parts
  let exitCode = 0

  const makeAction: MakeAction =
    (run) =>
    async (...given) => {
      const command = commandOf(given)
      const globals = command.optsWithGlobals<GlobalOptions>()
      const gantry = await openGantry(parts, globals)
      try {
        const tools = { io, gantry, client: createClient(gantry.api, fieldNames(command)), globals }
        exitCode = printOutcome(io, globals, await (run as AnyRun)(tools, ...given))
      } finally {
        await gantry.close()
      }
    }

  const makeLoneAction: MakeLoneAction =
    (run) =>
    async (...given) => {
      const globals = commandOf(given).optsWithGlobals<GlobalOptions>()
      const tools = {
        io,
        globals,
        run: (inner: readonly string[], own: CliIo) => runCli(inner, { ...parts, io: own }),
      }
      exitCode = printOutcome(io, globals, await run(tools))
    }

  try {
    await buildProgram({ io, version: parts.version, makeAction, makeLoneAction }).parseAsync([...args], {
      from: 'user',
    })
  } catch (error) {
    exitCode = printFailure(io, args.includes('--json'), error)
  }
  return exitCode
}

function commandOf(given: readonly unknown[]): Command {
  const command = given.at(-1)
  if (!(command instanceof Command)) throw new AppError('bug', 'An action was called without its command')
  return command
}

function openGantry({ io, openGantry: open }: CliParts, globals: GlobalOptions): Promise<Gantry> {
  const { platform, home, env } = io
  return open({
    dataDir: findDataDir({ platform, home, env, chosen: globals.dataDir }),
    env,
    ...(io.canAsk
      ? { prompt: (label, signal) => io.ask(`${printable(label)}: `, { hidden: true }, signal) }
      : {}),
  })
}

function printOutcome(io: CliIo, globals: GlobalOptions, outcome: Outcome): number {
  if (globals.json === true) io.out.write(`${JSON.stringify(outcome.value, undefined, 2)}\n`)
  else if (outcome.text !== '') io.out.write(`${printable(outcome.text)}\n`)
  for (const line of outcome.problems ?? []) io.err.write(`${printable(line)}\n`)
  return outcome.exitCode ?? 0
}

function printFailure(io: CliIo, json: boolean, thrown: unknown): number {
  if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0
  // commander has already told the person what is wrong with the command line
  const isUsage = thrown instanceof CommanderError
  const error = isUsage
    ? new AppError('bad-request', thrown.message.replace(/^error: /, ''))
    : toAppError(thrown)
  const wire = encodeError(error)
  if (!isUsage) for (const line of describeError(wire)) io.err.write(`${printable(line)}\n`)
  if (json) io.out.write(`${JSON.stringify({ error: wire }, undefined, 2)}\n`)
  return exitCodes[error.code]
}
