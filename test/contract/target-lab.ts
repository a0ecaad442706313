import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LinuxStorageConfig } from '#shared/domain/storage.ts'
import { MiB } from '#shared/units/bytes.ts'
import { raw, sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import { stdoutText } from '#main/transports/shell/shell.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import { TgtdProcess } from '#test/lab/iscsi/tgtd-process.ts'
import { createLocalShell } from './local-shell.ts'

/** A real array of its own on this computer: two volumes on loop devices and a tgtd. Needs root. */
export interface TargetLab {
  readonly config: LinuxStorageConfig
  readonly shell: Shell
  /** Kills tgtd, which forgets its LUNs, and starts it again. */
  readonly restartTarget: () => Promise<void>
  readonly stopTarget: () => Promise<void>
  /** Runs a script of the test's own and returns what it prints. */
  readonly exec: (script: ShellScript) => Promise<string>
  /** Runs tgtadm on the control port of the lab. */
  readonly tgtadm: (...args: string[]) => Promise<string>
  /** Removes all LUNs and objects. */
  readonly reset: () => Promise<void>
  readonly close: () => Promise<void>
}

export const lunLimitOfLab = 4

/** btrfs: data and metadata share their room, so that a full volume is really full. */
const formatters = { xfs: sh`mkfs.xfs -q -m reflink=1`, btrfs: sh`mkfs.btrfs -q --mixed` }
export type LabFileSystem = keyof typeof formatters

export async function startTargetLab(fileSystem: LabFileSystem = 'xfs'): Promise<TargetLab> {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-array-'))
  const shell = createLocalShell('array lab-array')
  const exec = async (script: ShellScript): Promise<string> =>
    stdoutText(await shell.run(script, { signal: new AbortController().signal }))
  const tgtd = await TgtdProcess.start()
  // Names that a script without quoting would break on.
  const roomy = join(folder, `roomy 'volume' $1`)
  const full = join(folder, 'full')
  const mounted: string[] = []
  const close = async (): Promise<void> => {
    await tgtd.close()
    for (const path of mounted) await exec(sh`umount ${path}`)
    rmSync(folder, { recursive: true })
  }

  try {
    for (const [path, bytes] of [
      [roomy, 1024 * MiB],
      [full, 300 * MiB],
    ] as const) {
      writeFileSync(`${path}.img`, '')
      truncateSync(`${path}.img`, bytes)
      mkdirSync(path)
      await exec(
        sh`${raw(formatters[fileSystem])} ${`${path}.img`} && mount -o loop ${`${path}.img`} ${path}`,
      )
      mounted.push(path)
    }
    await exec(
      sh`cd ${full} && for size in 1M 4k; do dd if=/dev/zero of=fill.$size bs=$size status=none 2>/dev/null || sync .; done`,
    )
  } catch (error) {
    await close()
    throw error
  }
  const config: LinuxStorageConfig = {
    name: 'lab-array',
    driver: 'linux-storage',
    connection: { host: 'localhost' },
    settings: {
      volumes: { roomy, full },
      portal: `127.0.0.1:${tgtd.port}`,
      tgtControlPort: tgtd.controlPort,
      iqnPrefix: 'iqn.2026-11.gantry.array',
      lunLimitPerVolume: lunLimitOfLab,
    },
  }
  const restartTarget = async (): Promise<void> => {
    await tgtd.kill()
    await tgtd.startAgain()
  }
  const reset = async (): Promise<void> => {
    await restartTarget()
    await exec(sh`cd ${roomy} && rm -rf containers snapshots clones`)
  }
  return {
    config,
    shell,
    restartTarget,
    stopTarget: () => tgtd.kill(),
    exec,
    tgtadm: (...args) => tgtd.tgtadm(...args),
    reset,
    close,
  }
}
