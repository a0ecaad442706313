import { runCli } from '#main/cli/run-cli.ts'
import { createGantry } from '#main/app/gantry.ts'
import { createFakeIo, type FakeIoOptions } from './fake-io.ts'

export interface ConsoleRun {
  readonly exitCode: number
  readonly out: string
  readonly err: string
  readonly questions: readonly string[]
}

/** The command line over the real core, in this process; every run opens the data folder anew, as a process would. */
export class RealConsole {
  readonly dataDir: string

  constructor(dataDir: string) {
    this.dataDir = dataDir
  }

  async run(args: readonly string[], options: FakeIoOptions = {}): Promise<ConsoleRun> {
    const io = createFakeIo(options)
    const exitCode = await runCli(['--data-dir', this.dataDir, ...args], {
      io,
      version: '1.2.3',
      openGantry: createGantry,
    })
    const questions = io.questions.map(({ question }) => question)
    return { exitCode, out: io.written.out, err: io.written.err, questions }
  }

  /** Throws with its own words unless it ends with 0. */
  async ok(args: readonly string[], options: FakeIoOptions = {}): Promise<ConsoleRun> {
    const run = await this.run(args, options)
    if (run.exitCode !== 0)
      throw new Error(`gantry ${args.join(' ')} ended with ${run.exitCode}:\n${run.err}${run.out}`)
    return run
  }

  async json<T>(args: readonly string[], options: FakeIoOptions = {}): Promise<T> {
    return JSON.parse((await this.ok(['--json', ...args], options)).out) as T
  }
}
