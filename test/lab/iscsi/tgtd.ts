import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Portal } from '#main/transports/iscsi/portal.ts'
import { TgtdProcess } from './tgtd-process.ts'

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
  const tgtd = await TgtdProcess.start()
  const folder = mkdtempSync('/dev/shm/gantry-tgtd-')
  const file = join(folder, 'lun')
  writeFileSync(file, '')
  truncateSync(file, sizeBytes)
  const target = 'iqn.2026-11.lab.gantry:disk'

  const makeTarget = async (): Promise<void> => {
    await tgtd.tgtadm('--op', 'new', '--mode', 'target', '--tid', '1', '-T', target)
    for (const [name, value] of Object.entries(settings))
      await tgtd.tgtadm('--op', 'update', '--mode', 'target', '--tid', '1', '--name', name, '--value', value)
    await tgtd.tgtadm('--op', 'new', '--mode', 'logicalunit', '--tid', '1', '--lun', '1', '-b', file)
    await tgtd.tgtadm('--op', 'bind', '--mode', 'target', '--tid', '1', '-I', 'ALL')
  }
  const close = async (): Promise<void> => {
    await tgtd.close()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await makeTarget()
  } catch (error) {
    await close()
    throw error
  }
  return {
    get pid() {
      return tgtd.pid
    },
    portal: { host: '127.0.0.1', port: tgtd.port },
    target,
    file,
    folder,
    tgtadm: (...args) => tgtd.tgtadm(...args),
    kill: () => tgtd.kill(),
    async startAgain() {
      await tgtd.startAgain()
      await makeTarget()
    },
    close,
  }
}
