import type { Gantry } from '#main/app/gantry.ts'
import type { Client } from './client.ts'
import type { CliIo } from './io.ts'

export interface GlobalOptions {
  readonly dataDir?: string
  readonly json?: boolean
  readonly jsonProgress?: boolean
}

/** What a command works with. */
export interface Tools {
  readonly io: CliIo
  readonly gantry: Gantry
  readonly client: Client
  readonly globals: GlobalOptions
}

/** What a command came to. */
export interface Outcome {
  /** Printed with --json, as the one document on standard output. */
  readonly value: unknown
  /** Printed otherwise. */
  readonly text: string
  /** For a person, to standard error. */
  readonly problems?: readonly string[]
  readonly exitCode?: number
}

/** Wraps what a command does into what commander calls. */
export type MakeAction = (run: CommandRun) => (...args: unknown[]) => Promise<void>
/** Takes the tools, then the arguments and the options of its command. */
export type CommandRun = (tools: Tools, ...args: never[]) => Promise<Outcome>

/** What a command works with that has no inventory: it runs other commands on one of its own. */
export interface LoneTools {
  readonly io: CliIo
  readonly globals: GlobalOptions
  /** Runs a command with its own surroundings; its exit code. Never rejects. */
  readonly run: (args: readonly string[], io: CliIo) => Promise<number>
}
export type MakeLoneAction = (
  run: (tools: LoneTools) => Promise<Outcome>,
) => (...args: unknown[]) => Promise<void>

/** A note to the person that is not part of the result. */
export const note = ({ io }: Tools, text: string): void => io.err.write(`${text}\n`)
