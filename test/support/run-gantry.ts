import { runCli } from '#main/cli/run-cli.ts'
import { createFakeCore } from './fake-core.ts'
import type { FakeCore, FakeCoreOptions } from './fake-core.ts'
import { createFakeIo } from './fake-io.ts'
import type { FakeIo, FakeIoOptions } from './fake-io.ts'

export interface GantryRun {
  readonly exitCode: number
  readonly out: string
  readonly err: string
  /** Names of the calls that the command made, in order. */
  readonly calls: readonly string[]
  readonly inputOf: (name: string) => unknown
  readonly core: FakeCore
  readonly io: FakeIo
  readonly recoveries: number
}

export interface GantryRunOptions extends FakeCoreOptions, FakeIoOptions {
  /** Called with the core and the process before the command runs. */
  readonly before?: (core: FakeCore, io: FakeIo) => void
  /** Resolves with the ids of the jobs that are recovered. */
  readonly recover?: (core: FakeCore) => Promise<string[]>
}

/** One run of the real command line over the fake core, in this process. */
export async function runGantry(args: readonly string[], options: GantryRunOptions = {}): Promise<GantryRun> {
  const core = createFakeCore(options)
  const io = createFakeIo(options)
  let recoveries = 0
  options.before?.(core, io)
  const exitCode = await runCli(args, {
    io,
    version: '1.2.3',
    openGantry: () =>
      Promise.resolve({
        api: core.api,
        recover: async () => {
          recoveries++
          return (await options.recover?.(core)) ?? []
        },
        close: () => Promise.resolve(),
      }),
  })
  return {
    exitCode,
    out: io.written.out,
    err: io.written.err,
    calls: core.called.map(({ name }) => name),
    inputOf: (name) => core.called.find((call) => call.name === name)?.input,
    core,
    io,
    recoveries,
  }
}
