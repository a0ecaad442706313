import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Machine } from './machine.ts'

export interface WatchedPrograms {
  /** The calls since the last time this was asked, each as it was given: "mkfs.ext4 -q ...". */
  takeCalls(): string[]
  stop(): Promise<void>
}

/**
 * Notes every call of these programs on a machine and lets them do their work: a proof of what was really run there,
 * independent of what the product says that it sends. `programs` are absolute paths.
 */
export async function watchPrograms(machine: Machine, programs: readonly string[]): Promise<WatchedPrograms> {
  const dir = join(machine.root, 'watched')
  const log = join(dir, 'calls')
  const wrapper = join(dir, 'wrapper')
  mkdirSync(dir)
  writeFileSync(log, '')
  // As one write, so that calls at the same time do not mix. Under the path that was called, it is any of them.
  const note = `printf '%s\\n' "\${0##*/} $*" >> ${log}`
  writeFileSync(wrapper, `#!/bin/sh\n${note}\nexec ${dir}/real-\${0##*/} "$@"\n`, { mode: 0o755 })
  const each = (script: string): Promise<unknown> =>
    machine.run(`set -eu; for path in ${programs.join(' ')}; do ${script}; done`)
  await each(`cp -L "$path" "${dir}/real-\${path##*/}"`)
  await each(`mount --bind ${wrapper} "$(realpath "$path")"`)
  return {
    takeCalls() {
      const calls = readFileSync(log, 'utf8').split('\n').slice(0, -1)
      writeFileSync(log, '')
      return calls
    },
    async stop() {
      await each('umount "$(realpath "$path")"')
      rmSync(dir, { recursive: true })
    },
  }
}
