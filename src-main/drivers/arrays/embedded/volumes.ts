import { randomUUID } from 'node:crypto'
import { constants, copyFile, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { removeFile } from './publish.ts'

export interface VolumeSpace {
  readonly fileSystem: string
  readonly sizeBytes: number
  readonly usedBytes: number
  readonly freeBytes: number
}

/** statfs(2) of Linux: the types that people put volumes on. */
const linuxTypes: Readonly<Record<number, string>> = {
  0xef53: 'ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x01021994: 'tmpfs',
  0x2fc12fc1: 'zfs',
  0x794c7630: 'overlayfs',
  0x2011bab0: 'exfat',
  0x4d44: 'fat',
  0x7366746e: 'ntfs',
  0x5346544e: 'ntfs',
  0x6969: 'nfs',
  0xff534d42: 'cifs',
  0x65735546: 'fuse',
  0xf2f52010: 'f2fs',
}

export async function measureVolume(folder: string): Promise<VolumeSpace> {
  const { type, bsize, blocks, bfree, bavail } = await statfs(folder)
  const known = process.platform === 'linux' ? linuxTypes[type] : undefined
  return {
    fileSystem: known ?? `${process.platform} file system 0x${type.toString(16)}`,
    sizeBytes: blocks * bsize,
    usedBytes: (blocks - bfree) * bsize,
    freeBytes: bavail * bsize,
  }
}

/** Whether two files in a folder can share blocks, by trying it. Throws where nothing can be written. */
export async function canShareBlocks(folder: string): Promise<boolean> {
  const original = join(folder, `.gantry-probe.${randomUUID()}`)
  const copy = `${original}.copy`
  try {
    await writeFile(original, '', { flag: 'wx', mode: 0o600 })
    return await copyFile(original, copy, constants.COPYFILE_FICLONE_FORCE).then(
      () => true,
      () => false,
    )
  } finally {
    await removeFile(original)
    await removeFile(copy)
  }
}
