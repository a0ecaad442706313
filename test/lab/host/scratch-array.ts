import { mkdir, mkdtemp, open, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LunAddress } from '#shared/domain/storage.ts'
import { exec } from '../exec.ts'
import { TgtdProcess } from '../iscsi/tgtd-process.ts'

export interface ScratchArray {
  /** A LUN over a sparse file, mapped to this initiator. `onFullVolume`: the volume under it has 64 MiB. */
  newLun(sizeBytes: number, onFullVolume?: boolean): Promise<LunAddress>
  backingOf(lun: LunAddress): string
  /** Makes another LUN with this one's target name: same address, other serial, other content. */
  replace(lun: LunAddress): Promise<void>
  /** Exports it for reading only from now on. */
  protect(lun: LunAddress): Promise<void>
  askForChap(lun: LunAddress, user: string, secret: string): Promise<void>
  sessions(lun: LunAddress): Promise<number>
  readonly directory: string
  stop(): Promise<void>
}

interface Options {
  /** The address of this computer as the host sees it; default 127.0.0.1. */
  readonly address?: string
  readonly initiator: string
}

/** A target daemon of its own over files of its own, so that tests of the host need no array. */
export async function startScratchArray(options: Options): Promise<ScratchArray> {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-scratch-array-'))
  const volumes: string[] = []
  const tgtd = await TgtdProcess.start()
  const admin = (...parameters: string[]): Promise<string> => tgtd.tgtadm(...parameters)

  let count = 0
  const prefix = process.pid.toString(16)
  const luns = new Map<string, { tid: number; backing: string }>()

  async function newSmallVolume(name: string): Promise<string> {
    const path = join(directory, name)
    await mkdir(path)
    await exec('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', path])
    volumes.push(path)
    return path
  }

  async function makeLun(tid: number, target: string, serial: string, naa: string, backing: string) {
    const at = ['--tid', String(tid)]
    await admin('--op', 'new', '--mode', 'target', ...at, '-T', target)
    await admin('--op', 'new', '--mode', 'logicalunit', ...at, '--lun', '1', '-b', backing)
    const identity = `scsi_id=${naa},scsi_sn=${serial},vendor_id=GANTRY,product_id=SCRATCH,thin_provisioning=1`
    await admin('--op', 'update', '--mode', 'logicalunit', ...at, '--lun', '1', '--params', identity)
    await admin('--op', 'bind', '--mode', 'target', ...at, '--initiator-name', options.initiator)
  }

  const getLun = (lun: LunAddress): { tid: number; backing: string } => {
    const found = luns.get(lun.serial)
    if (found === undefined) throw new Error(`no LUN ${lun.serial}`)
    return found
  }

  return {
    directory,
    backingOf: (lun) => getLun(lun).backing,

    async newLun(sizeBytes, onFullVolume = false) {
      const tid = ++count
      const name = `s${prefix}-${tid}`
      const naa = `6${prefix.padStart(15, '0')}${tid.toString(16).padStart(16, '0')}`
      const volume = onFullVolume ? await newSmallVolume(name) : directory
      const backing = join(volume, `${name}.img`)
      await (await open(backing, 'wx')).close()
      await truncate(backing, sizeBytes)
      const lun = { name, target: `iqn.2026-11.gantry.scratch:${name}`, lun: 1, serial: `SN-${name}`, naa }
      await makeLun(tid, lun.target, lun.serial, naa, backing)
      luns.set(lun.serial, { tid, backing })
      return { ...lun, portal: `${options.address ?? '127.0.0.1'}:${tgtd.port}` }
    },

    async replace(lun) {
      const { tid, backing } = getLun(lun)
      await admin('--op', 'delete', '--force', '--mode', 'target', '--tid', String(tid))
      const other = `${backing}.other`
      await (await open(other, 'wx')).close()
      await truncate(other, 64 << 20)
      await makeLun(tid, lun.target, `${lun.serial.slice(0, 30)}-other`, lun.naa.replace(/.$/, 'f'), other)
    },

    async protect(lun) {
      const at = ['--tid', String(getLun(lun).tid), '--lun', String(lun.lun)]
      await admin('--op', 'update', '--mode', 'logicalunit', ...at, '--params', 'readonly=1')
    },

    async askForChap(lun, user, secret) {
      await admin('--op', 'new', '--mode', 'account', '--user', user, '--password', secret)
      await admin('--op', 'bind', '--mode', 'account', '--tid', String(getLun(lun).tid), '--user', user)
    },

    async sessions(lun) {
      const tid = luns.get(lun.serial)?.tid
      if (tid === undefined) return 0
      const text = await admin('--op', 'show', '--mode', 'conn', '--tid', String(tid))
      return text.split('\n').filter((line) => line.startsWith('Session:')).length
    },

    async stop() {
      await tgtd.close()
      for (const volume of volumes) await exec('umount', [volume])
      await rm(directory, { recursive: true })
    },
  }
}
