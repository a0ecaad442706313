import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Portal } from '#main/transports/iscsi/portal.ts'
import { exec } from '../exec.ts'
import { findFreePorts } from '../ports.ts'

/** A tgtd of its own whose LUN 1 is a file in memory. Needs root and tgt. */
export interface Tgtd {
  readonly pid: number
  readonly portal: Portal
  readonly target: string
  /** The file behind LUN 1. */
  readonly file: string
  readonly folder: string
  readonly tgtadm: (...args: string[]) => Promise<string>
  /** Kills tgtd, which forgets its targets; {@link startAgain} brings them back. */
  readonly kill: () => Promise<void>
  readonly startAgain: () => Promise<void>
  readonly close: () => Promise<void>
}

export interface TgtdOptions {
  readonly sizeBytes: number
  /** `tgtadm --op update --mode target --name ... --value ...` */
  readonly settings?: Readonly<Record<string, string>>
}

export async function startTgtd({ sizeBytes, settings = {} }: TgtdOptions): Promise<Tgtd> {
  const folder = mkdtempSync('/dev/shm/gantry-tgtd-')
  const file = join(folder, 'lun')
  writeFileSync(file, '')
  truncateSync(file, sizeBytes)
  const [port = 0] = await findFreePorts(1)
  const portal = { host: '127.0.0.1', port }
  const target = 'iqn.2026-11.lab.gantry:disk'
  const control = freeControlPort()
  const tgtadm = (...args: string[]): Promise<string> =>
    exec('tgtadm', ['-C', String(control), '--lld', 'iscsi', ...args]).then(({ stdout }) => stdout)
  let kill = async (): Promise<void> => undefined
  let pid = 0

  const start = async (): Promise<void> => {
    const child = spawn(
      'tgtd',
      ['-f', '-C', String(control), '-t', '1', '--iscsi', `portal=127.0.0.1:${port}`],
      {
        stdio: 'ignore',
      },
    )
    pid = child.pid ?? 0
    kill = async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    }
    while (!(await answers(() => tgtadm('--op', 'show', '--mode', 'system')))) {
      if (child.exitCode !== null) throw new Error(`tgtd ended with ${child.exitCode}`)
      await delay(10)
    }
    await tgtadm('--op', 'new', '--mode', 'target', '--tid', '1', '-T', target)
    for (const [name, value] of Object.entries(settings))
      await tgtadm('--op', 'update', '--mode', 'target', '--tid', '1', '--name', name, '--value', value)
    await tgtadm('--op', 'new', '--mode', 'logicalunit', '--tid', '1', '--lun', '1', '-b', file)
    await tgtadm('--op', 'bind', '--mode', 'target', '--tid', '1', '-I', 'ALL')
  }
  const close = async (): Promise<void> => {
    await kill()
    rmSync(folder, { recursive: true, force: true })
    rmSync(`/var/run/tgtd/socket.${control}`, { force: true })
    rmSync(`/var/run/tgtd/socket.${control}.lock`, { force: true })
  }
  try {
    await start()
  } catch (error) {
    await close()
    throw error
  }
  return {
    get pid() {
      return pid
    },
    portal,
    target,
    file,
    folder,
    tgtadm,
    kill: () => kill(),
    startAgain: start,
    close,
  }
}

async function answers(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask()
    return true
  } catch {
    return false
  }
}

function freeControlPort(): number {
  for (;;) {
    const port = 1024 + Math.floor(Math.random() * 31_000)
    if (!existsSync(`/var/run/tgtd/socket.${port}`)) return port
  }
}
