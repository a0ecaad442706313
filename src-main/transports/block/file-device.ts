import { constants } from 'node:fs'
import { open, readFile, type FileHandle } from 'node:fs/promises'
import { AppError } from '#shared/errors/app-error.ts'
import { sectorBytes } from '#shared/units/bytes.ts'
import type { BlockDevice } from './block-device.ts'
import { requireBlocks } from './block-range.ts'
import { hashRegion, readAll, readIntoFile, writeAll, writeContent } from './bulk.ts'
import type { BulkDisk } from './bulk.ts'
import { fileError } from '../local/file-errors.ts'

export interface OpenFileDevice {
  readonly readOnly: boolean
  /** Default 512. */
  readonly blockBytes?: number
}

/**
 * A file or a block device of this computer as a disk. A block device that is mounted or otherwise in use is refused
 * for writing (busy). Throws not-found, auth-failed, bad-request (neither file nor block device), not-supported.
 */
export async function openFileDevice(
  path: string,
  { readOnly, blockBytes = sectorBytes }: OpenFileDevice,
): Promise<BlockDevice> {
  const file = await openExclusively(path, readOnly)
  try {
    const sizeBytes = await sizeOf(file, path)
    return fileDevice(file, { path, readOnly, blockBytes, sizeBytes: sizeBytes - (sizeBytes % blockBytes) })
  } catch (error) {
    await file.close()
    throw fileError(error, path)
  }
}

/** O_EXCL without O_CREAT: Linux then refuses a block device that something else holds. A file does not mind. */
async function openExclusively(path: string, readOnly: boolean): Promise<FileHandle> {
  try {
    return await open(path, readOnly ? constants.O_RDONLY : constants.O_RDWR | constants.O_EXCL)
  } catch (error) {
    throw fileError(error, path)
  }
}

async function sizeOf(file: FileHandle, path: string): Promise<number> {
  const facts = await file.stat()
  if (facts.isFile()) return facts.size
  if (!facts.isBlockDevice())
    throw new AppError('bad-request', `"${path}" is neither a file nor a block device`, { object: path })
  if (process.platform !== 'linux')
    throw new AppError('not-supported', 'Block devices of this computer are read on Linux only', {
      object: path,
    })
  const { major, minor } = deviceNumber(facts.rdev)
  return Number(await readFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8')) * sectorBytes
}

/** Linux: minor in bits 0-7 and 20-31, major in bits 8-19 (makedev(3)). */
const deviceNumber = (rdev: number): { major: number; minor: number } => ({
  major: (rdev >> 8) & 0xfff,
  minor: (rdev & 0xff) | ((rdev >> 12) & 0xfff00),
})

interface FileFacts {
  readonly path: string
  readonly readOnly: boolean
  readonly blockBytes: number
  readonly sizeBytes: number
}

function fileDevice(file: FileHandle, { path, readOnly, blockBytes, sizeBytes }: FileFacts): BlockDevice {
  const requireWritable = (): void => {
    if (readOnly) throw new AppError('bad-request', 'It was opened for reading only', { object: device.name })
  }
  const readInto = async (offset: number, into: Buffer, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted()
    requireBlocks(device, offset, into.length)
    const filled = await readAll(file, into, offset).catch((error: unknown) => {
      throw fileError(error, path)
    })
    if (filled < into.length)
      throw new AppError('stale', `"${path}" has become shorter since it was opened`, {
        object: device.name,
      })
  }
  const device: BlockDevice = {
    name: `file ${path}`,
    blockBytes,
    sizeBytes,
    isReadOnly: readOnly,

    async read(offset, lengthBytes, signal) {
      requireBlocks(device, offset, lengthBytes)
      const bytes = Buffer.alloc(lengthBytes)
      await readInto(offset, bytes, signal)
      return bytes
    },
    async write(offset, bytes, signal) {
      signal.throwIfAborted()
      requireWritable()
      requireBlocks(device, offset, bytes.length)
      await writeAll(file, bytes, offset).catch((error: unknown) => {
        throw fileError(error, path)
      })
    },
    async flush(signal) {
      signal.throwIfAborted()
      if (readOnly) return
      await file.datasync().catch((error: unknown) => {
        throw fileError(error, path)
      })
    },
    async writeContent(offset, content, options) {
      requireWritable()
      return writeContent(disk, offset, content, options)
    },
    hash: (offset, lengthBytes, options) => hashRegion(disk, offset, lengthBytes, options),
    readIntoFile: (offset, lengthBytes, target, options) =>
      readIntoFile(disk, offset, lengthBytes, target, options),
    close: () => file.close(),
  }
  const disk: BulkDisk = { ...device, readInto }
  return device
}
