import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat, statfs } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import type { ImageFormat } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { GiB, MiB, formatBytes, sectorBytes } from '#shared/units/bytes.ts'
import { formatOfName, libvirtFormat, toTemplateFile } from '#main/protocols/images/container-disk.ts'
import { vhdFooterBytes } from '#main/protocols/images/vhd.ts'
import {
  readVhdBlocks,
  readVhdTable,
  vhdDynamicHeaderBytes,
  vhdDynamicHeaderOffset,
  writtenSectors,
} from '#main/protocols/images/vhd-blocks.ts'
import type { BulkOptions, FileContent } from '#main/transports/block/block-device.ts'
import { fileError, systemCode } from '#main/transports/local/file-errors.ts'
import { localFiles, withFile } from './local-files.ts'
import { inspectImages } from './source-files.ts'

export interface ImageContent {
  readonly format: ImageFormat
  /** What the guest sees: `sizeBytes` is the size of its disk. */
  readonly content: FileContent
  /** Removes what was made for reading; to be called also after a failure of whoever reads. */
  close(): Promise<void>
}

export interface OpenImageOptions extends BulkOptions {
  /** What the image was said to be; default: what its name claims. It is refused when its bytes say otherwise. */
  readonly claimedFormat?: ImageFormat
  /** Folder for the image in raw form, where qemu-img has to convert it. */
  readonly tempDir: string
  /** Default "qemu-img". */
  readonly qemuImg?: string
}

/**
 * A disk image of this computer as the bytes that a guest sees. Raw and VHD are read as they are; the other formats are
 * converted by qemu-img into a sparse file of `tempDir` first (reported by `report`). Throws bad-request (damaged, or
 * not what it was said to be), not-supported (differencing, encrypted, qemu-img is not installed), device-rejected
 * (no room in `tempDir`, qemu-img failed).
 */
export async function openImageContent(image: string, options: OpenImageOptions): Promise<ImageContent> {
  const file = await localFiles(options.signal).open(image)
  const path = resolve(image)
  const claimedFormat = options.claimedFormat ?? formatOfName(path)
  const [found] = await inspectImages(
    [claimedFormat === undefined ? { file } : { file, claimedFormat }],
    options.signal,
  )
  if (found === undefined) throw new AppError('bug', 'An image was not inspected', { object: path })
  toTemplateFile(found, 0)
  const { format, virtualSizeBytes, grows } = found.facts
  const close = (): Promise<void> => Promise.resolve()
  if (format === 'raw' || (format === 'vhd' && !grows))
    return {
      format,
      content: {
        path,
        sizeBytes: virtualSizeBytes,
        extents: [{ fileOffset: 0, offset: 0, lengthBytes: virtualSizeBytes }],
      },
      close,
    }
  if (format === 'vhd')
    return { format, content: await readDynamicVhd(path, virtualSizeBytes, options.signal), close }
  return convert(path, format, virtualSizeBytes, options)
}

async function readDynamicVhd(
  path: string,
  virtualSizeBytes: number,
  signal: AbortSignal,
): Promise<FileContent> {
  const file = await localFiles(signal).open(path)
  const { sizeBytes } = file
  const footer = await file.read(sizeBytes - vhdFooterBytes, vhdFooterBytes)
  const offset = vhdDynamicHeaderOffset(path, footer, sizeBytes)
  const header = await file.read(offset, vhdDynamicHeaderBytes)
  const table = readVhdTable(path, header, { offset, sizeBytes, virtualSizeBytes })
  const blocks = readVhdBlocks(path, await file.read(table.offset, table.entries * 4), table, sizeBytes)
  const extents: { fileOffset: number; offset: number; lengthBytes: number }[] = []
  await withFile(path, async (read) => {
    for (const block of blocks) {
      signal.throwIfAborted()
      const bitmap = await read(block.offset, table.bitmapBytes)
      const at = block.index * table.blockBytes
      const sectors = Math.min(table.blockBytes, virtualSizeBytes - at) / sectorBytes
      for (const [first, count] of writtenSectors(bitmap, sectors))
        extents.push({
          fileOffset: block.offset + table.bitmapBytes + first * sectorBytes,
          offset: at + first * sectorBytes,
          lengthBytes: count * sectorBytes,
        })
    }
  })
  return { path, sizeBytes: virtualSizeBytes, extents }
}

/** Free space that a conversion leaves on the file system. */
const spareBytes = 64 * MiB

async function convert(
  path: string,
  format: ImageFormat,
  virtualSizeBytes: number,
  options: OpenImageOptions,
): Promise<ImageContent> {
  const { tempDir, qemuImg = 'qemu-img', signal } = options
  const dataBytes = await measureData(qemuImg, path, format, virtualSizeBytes, signal)
  await requireRoom(tempDir, path, dataBytes)
  const folder = await mkdtemp(join(tempDir, 'gantry-image-')).catch((error: unknown) => {
    throw fileError(error, tempDir)
  })
  const close = (): Promise<void> => rm(folder, { recursive: true, force: true })
  const raw = join(folder, 'disk.raw')
  try {
    await runConvert(
      qemuImg,
      ['convert', '-p', '-f', libvirtFormat(format), '-O', 'raw', '-S', '4k', path, raw],
      {
        ...options,
        path,
        format,
        virtualSizeBytes,
      },
    )
    const { size } = await stat(raw)
    if (size !== virtualSizeBytes)
      throw new AppError('device-rejected', `qemu-img made ${size} bytes of a disk of ${virtualSizeBytes}`, {
        object: path,
      })
    const extents = [{ fileOffset: 0, offset: 0, lengthBytes: size }]
    return { format, content: { path: raw, sizeBytes: size, extents }, close }
  } catch (error) {
    await close()
    throw error
  }
}

const mapSchema = z.array(z.object({ length: z.number(), data: z.boolean(), zero: z.boolean() }))

/** How much of the image is not zeros: what its raw form takes. Also the first use of qemu-img: it tells when it is missing. */
async function measureData(
  qemuImg: string,
  path: string,
  format: ImageFormat,
  virtualSizeBytes: number,
  signal: AbortSignal,
): Promise<number> {
  const args = ['map', '--output=json', '-f', libvirtFormat(format), path]
  try {
    const { stdout } = await promisify(execFile)(qemuImg, args, { maxBuffer: GiB / 4, signal })
    const parts = mapSchema.parse(JSON.parse(stdout))
    return parts.reduce((sum, { length, data, zero }) => sum + (data && !zero ? length : 0), 0)
  } catch (error) {
    signal.throwIfAborted()
    if (isMissing(error)) throw qemuImgMissing(path, format)
    const said = (error as { stderr?: unknown }).stderr
    if (typeof said === 'string' && said !== '') throw qemuImgFailed(path, said)
    // A map that is too long to read: the whole disk is the safe bound.
    return virtualSizeBytes
  }
}

/** Room for bytes that are to lie in the folder for a while. Throws device-rejected. */
export async function requireRoom(tempDir: string, object: string, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(tempDir).catch((error: unknown) => {
    throw fileError(error, tempDir)
  })
  const freeBytes = bavail * bsize
  if (freeBytes < neededBytes + spareBytes)
    throw new AppError('device-rejected', 'There is no room for the image on this computer', {
      object,
      facts: { folder: tempDir, needed: formatBytes(neededBytes + spareBytes), free: formatBytes(freeBytes) },
      advice: 'Make room there, or choose another folder for temporary files (TMPDIR).',
    })
}

async function runConvert(
  qemuImg: string,
  args: readonly string[],
  work: BulkOptions & {
    readonly path: string
    readonly format: ImageFormat
    readonly virtualSizeBytes: number
  },
): Promise<void> {
  const child = spawn(qemuImg, args, { stdio: ['ignore', 'pipe', 'pipe'], signal: work.signal })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)))
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const percent = [...text.matchAll(/\((\d+\.\d+)\/100%\)/g)].at(-1)?.[1]
    if (percent !== undefined)
      work.report?.({
        bytes: Math.floor((Number(percent) / 100) * work.virtualSizeBytes),
        totalBytes: work.virtualSizeBytes,
      })
  })
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    work.signal.throwIfAborted()
    if (code !== 0) throw qemuImgFailed(work.path, said)
  } catch (error) {
    work.signal.throwIfAborted()
    throw isMissing(error) ? qemuImgMissing(work.path, work.format) : error
  }
}

const isMissing = (error: unknown): boolean => systemCode(error) === 'ENOENT'

const qemuImgMissing = (path: string, format: ImageFormat): AppError =>
  new AppError('not-supported', `A ${format} image is read by qemu-img, which is not installed here`, {
    object: path,
    advice: 'Install qemu-img (Debian: qemu-utils), or convert the image to raw or VHD elsewhere.',
  })

const qemuImgFailed = (path: string, said: string): AppError =>
  new AppError('device-rejected', 'qemu-img cannot convert the image', {
    object: path,
    facts: { 'qemu-img says': said.trim() },
    advice: 'Check the image: qemu-img check.',
  })
