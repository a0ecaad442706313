import type { LibvirtHostConfig } from '#shared/domain/compute.ts'
import type { ChapLogin, LunAddress } from '#shared/domain/storage.ts'
import type { RunOptions, RunResult, Shell } from '#main/transports/shell/shell.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import type { Action } from '../../action.ts'
import type { ChapSecrets } from '../../chap-secrets.ts'
import { runScript } from './exit-codes.ts'

type Options = Omit<RunOptions, 'signal' | 'expectExit'>

/** Runs scripts about LUNs on one host; what goes wrong is about that LUN on that host. */
export interface LunRunner {
  readonly config: LibvirtHostConfig
  run(lun: LunAddress, script: ShellScript, signal: AbortSignal, options?: Options): Promise<RunResult>
  /** An action of one script, whose result `finish` makes from what the script printed. */
  /** With a login the script reads its secret from standard input. */
  action<T = void>(
    lun: LunAddress,
    script: ShellScript,
    finish: (result: RunResult) => T,
    login?: ChapLogin,
  ): Action<T>
}

/** Above all waits of the scripts together, so that a script says itself what it has waited for. */
const timeoutMs = 180_000
/** Copying takes as long as the data is large; who wants to end it earlier cancels. */
export const longWorkMs = 7 * 24 * 3_600_000

export function createLunRunner(config: LibvirtHostConfig, shell: Shell, secrets: ChapSecrets): LunRunner {
  const run: LunRunner['run'] = (lun, script, signal, options) =>
    runScript(shell, `LUN ${lun.name} on host ${config.name}`, script, { timeoutMs, ...options, signal })
  return {
    config,
    run,
    action: (lun, script, finish, login) => ({
      commands: [script],
      run: async ({ signal }) => {
        if (login === undefined) return finish(await run(lun, script, signal))
        const ended = await secrets.use(login, lun.portal, signal, (secret) =>
          run(lun, script, signal, { stdin: Buffer.from(`${secret}\n`) }),
        )
        return finish(ended)
      },
    }),
  }
}
