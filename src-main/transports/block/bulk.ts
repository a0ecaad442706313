import { createHash } from 'node:crypto'
import { open, rm, type FileHandle } from 'node:fs/promises'
import { AppError } from '#shared/errors/app-error.ts'
import { KiB, MiB } from '#shared/units/bytes.ts'
import type { BlockDevice, BulkOptions, FileContent } from './block-device.ts'
import { requireBlocks } from './block-range.ts'
import { fileError } from '../local/file-errors.ts'

/** What bulk work needs of a disk. Ranges are whole blocks inside it. */
export interface BulkDisk extends Pick<BlockDevice, 'name' | 'blockBytes' | 'sizeBytes' | 'write'> {
  /** Fills it whole. */
  readInto(offset: number, into: Buffer, signal: AbortSignal): Promise<void>
}

const chunkBytes = MiB
/** Zeros are left out in runs of this size. */
const zeroUnitBytes = 64 * KiB
const zeros = Buffer.alloc(chunkBytes)
/** Requests under way at a time. */
const depth = 4

/** As {@link BlockDevice.writeContent}. */
export async function writeContent(
  disk: BulkDisk,
  offset: number,
  content: FileContent,
  { signal, report, isZeroed }: BulkOptions & { readonly isZeroed: boolean },
): Promise<{ readonly sha256: string; readonly bytesWritten: number }> {
  requireBlocks(disk, offset, content.sizeBytes)
  const hash = createHash('sha256')
  let bytesWritten = 0
  await withFile(content.path, 'r', async (file) => {
    const writes = createWindow()
    try {
      for (let at = 0; at < content.sizeBytes; at += chunkBytes) {
        signal.throwIfAborted()
        const bytes = await readContent(file, content, at, Math.min(chunkBytes, content.sizeBytes - at))
        hash.update(bytes)
        for (const [from, to] of isZeroed ? dataRuns(bytes, disk.blockBytes) : [[0, bytes.length] as const]) {
          await writes.add(disk.write(offset + at + from, bytes.subarray(from, to), signal))
          bytesWritten += to - from
        }
        report?.({ bytes: at + bytes.length, totalBytes: content.sizeBytes })
      }
    } finally {
      await writes.end()
    }
  })
  return { sha256: hash.digest('hex'), bytesWritten }
}

/** As {@link BlockDevice.hash}. */
export async function hashRegion(
  disk: BulkDisk,
  offset: number,
  lengthBytes: number,
  options: BulkOptions,
): Promise<string> {
  const hash = createHash('sha256')
  for await (const { bytes } of readAhead(disk, offset, lengthBytes, options)) hash.update(bytes)
  return hash.digest('hex')
}

/** As {@link BlockDevice.readIntoFile}. A file that was begun is removed when it fails. */
export async function readIntoFile(
  disk: BulkDisk,
  offset: number,
  lengthBytes: number,
  path: string,
  options: BulkOptions,
): Promise<string> {
  requireBlocks(disk, offset, lengthBytes)
  const hash = createHash('sha256')
  await withFile(path, 'wx', async (file) => {
    try {
      await file.truncate(lengthBytes)
      for await (const { at, bytes } of readAhead(disk, offset, lengthBytes, options)) {
        hash.update(bytes)
        for (const [from, to] of dataRuns(bytes, disk.blockBytes))
          await writeAll(file, bytes.subarray(from, to), at + from)
      }
      await file.datasync()
    } catch (error) {
      await rm(path, { force: true })
      throw error
    }
  })
  return hash.digest('hex')
}

/** The bytes are those of one part until the next one is asked for: fresh memory costs as much again as the read. */
async function* readAhead(
  disk: BulkDisk,
  offset: number,
  lengthBytes: number,
  { signal, report }: BulkOptions,
): AsyncGenerator<{ readonly at: number; readonly bytes: Buffer }> {
  requireBlocks(disk, offset, lengthBytes)
  const memory = Buffer.allocUnsafeSlow(Math.min(depth * chunkBytes, lengthBytes))
  const pending: Promise<Buffer>[] = []
  let next = 0
  const read = async (at: number): Promise<Buffer> => {
    const start = at % memory.length
    const into = memory.subarray(start, start + Math.min(chunkBytes, lengthBytes - at))
    await disk.readInto(offset + at, into, signal)
    return into
  }
  try {
    for (let at = 0; at < lengthBytes; at += chunkBytes) {
      signal.throwIfAborted()
      for (; next < lengthBytes && pending.length < depth; next += chunkBytes) {
        const bytes = read(next)
        bytes.catch(() => undefined)
        pending.push(bytes)
      }
      const bytes = (await pending.shift()) ?? Buffer.alloc(0)
      yield { at, bytes }
      report?.({ bytes: at + bytes.length, totalBytes: lengthBytes })
    }
  } finally {
    await Promise.allSettled(pending)
  }
}

/** At most {@link depth} promises at a time; the first that fails is thrown by the next call. */
function createWindow(): { add(work: Promise<void>): Promise<void>; end(): Promise<void> } {
  const pending = new Set<Promise<void>>()
  let failure: { readonly error: unknown } | undefined
  const throwFailure = (): void => {
    if (failure !== undefined) throw failure.error
  }
  return {
    async add(work) {
      const settled: Promise<void> = work
        .catch((error: unknown) => {
          failure ??= { error }
        })
        .finally(() => pending.delete(settled))
      pending.add(settled)
      if (pending.size >= depth) await Promise.race(pending)
      throwFailure()
    },
    async end() {
      await Promise.all(pending)
      throwFailure()
    },
  }
}

/** The bytes of the content from `at` on, zeros where it has no extent. Extents are in order. */
async function readContent(
  file: FileHandle,
  { path, extents }: FileContent,
  at: number,
  lengthBytes: number,
): Promise<Buffer> {
  const bytes = Buffer.alloc(lengthBytes)
  const end = at + lengthBytes
  for (let index = firstExtentAfter(extents, at); index < extents.length; index++) {
    const extent = extents[index]
    if (extent === undefined || extent.offset >= end) break
    const from = Math.max(at, extent.offset)
    const to = Math.min(end, extent.offset + extent.lengthBytes)
    const target = bytes.subarray(from - at, to - at)
    const filled = await readAll(file, target, extent.fileOffset + from - extent.offset)
    if (filled < target.length)
      throw new AppError('stale', `"${path}" ended while it was read`, {
        object: path,
        advice: 'Let nothing else write to it, then start again.',
      })
  }
  return bytes
}

/** Index of the first extent that ends behind `at`. */
function firstExtentAfter(extents: FileContent['extents'], at: number): number {
  let low = 0
  let high = extents.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const extent = extents[middle]
    if (extent !== undefined && extent.offset + extent.lengthBytes <= at) low = middle + 1
    else high = middle
  }
  return low
}

/** [from, to) of what is not zero, in whole units of zeroUnitBytes (or blocks, when those are larger). */
function* dataRuns(bytes: Uint8Array, blockBytes: number): Generator<readonly [number, number]> {
  const unit = Math.max(zeroUnitBytes, blockBytes)
  let from: number | undefined
  for (let at = 0; at < bytes.length; at += unit) {
    const part = Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(unit, bytes.length - at))
    const isZero = part.equals(zeros.subarray(0, part.length))
    if (isZero && from !== undefined) yield [from, at]
    if (isZero) from = undefined
    else from ??= at
  }
  if (from !== undefined) yield [from, bytes.length]
}

/** Resolves with the bytes that were there: fewer than asked for at the end of the file. */
export async function readAll(file: FileHandle, into: Uint8Array, offset: number): Promise<number> {
  let filled = 0
  while (filled < into.length) {
    const { bytesRead } = await file.read(into, filled, into.length - filled, offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled
}

export async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  let written = 0
  while (written < bytes.length)
    written += (await file.write(bytes, written, bytes.length - written, offset + written)).bytesWritten
}

async function withFile(
  path: string,
  flags: 'r' | 'wx',
  use: (file: FileHandle) => Promise<void>,
): Promise<void> {
  let file: FileHandle | undefined
  try {
    file = await open(path, flags)
    await use(file)
  } catch (error) {
    throw fileError(error, path)
  } finally {
    await file?.close()
  }
}
