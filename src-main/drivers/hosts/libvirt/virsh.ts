import type { LibvirtHostConfig } from '#shared/domain/compute.ts'
import { lines, sh, type ShellScript } from '#main/transports/shell/script.ts'
import type { RunOptions, RunResult, Shell } from '#main/transports/shell/shell.ts'
import { explainVirsh } from './virsh-errors.ts'

/** Scripts for one host's libvirt: `v` is virsh on the configured URI, and never on a default one. */
export interface Virsh {
  script(...body: readonly ShellScript[]): ShellScript
  /** Runs it; a failure says what virsh meant. `object`: "VM web". */
  run(script: ShellScript, options: RunOptions, object?: string): Promise<RunResult>
}

export function createVirsh(config: LibvirtHostConfig, shell: Shell): Virsh {
  const define = sh`v() { virsh -c ${config.settings.uri} "$@"; }`
  return {
    script: (...body) => lines(sh`set -eu`, define, ...body),
    async run(script, options, object = `host ${config.name}`) {
      try {
        return await shell.run(script, options)
      } catch (error) {
        throw explainVirsh(error, object)
      }
    },
  }
}

/**
 * Ends the script with success when the VM is not registered, and goes on when it is. virsh says "failed to get
 * domain" also when its daemon went away, so that only a list without the VM proves that it is not there.
 */
export const exitIfAbsent = (uuid: string): ShellScript =>
  sh`all=$(v list --all --uuid); case $all in *${uuid}*) ;; *) exit 0 ;; esac`

/** Fails the script with words that were kept in $out. */
export const failWithOutput = sh`printf '%s\\n' "$out" >&2; exit 1`
