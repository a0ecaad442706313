import { createReadStream } from 'node:fs'
import { open, readdir, realpath, stat, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { AppError } from '#shared/errors/app-error.ts'
import { MiB } from '#shared/units/bytes.ts'
import { fileError } from '#main/transports/local/file-errors.ts'
import type { SourceBytes, SourceFiles } from './source-files.ts'

async function translated<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw fileError(error, file)
  }
}

/** {@link SourceFiles} of this computer. */
export const localFiles = (signal: AbortSignal): SourceFiles => ({
  path,
  list: (folder) => translated(folder, () => readdir(folder)),
  open: (file, insideOf) =>
    translated(file, async () => {
      signal.throwIfAborted()
      const facts = await stat(file)
      if (!facts.isFile()) throw new AppError('bad-request', `"${file}" is not a file`, { object: file })
      if (insideOf !== undefined && path.dirname(await realpath(file)) !== (await realpath(insideOf)))
        throw new AppError('bad-request', `"${file}" leads out of its folder to ${await realpath(file)}`, {
          object: file,
          advice: 'Put the file itself into the folder.',
        })
      return bytesOf(path.resolve(file), file, facts.size, signal)
    }),
})

const bytesOf = (file: string, name: string, sizeBytes: number, signal: AbortSignal): SourceBytes => ({
  name,
  sizeBytes,
  read: (offset, lengthBytes) =>
    withFile(file, (read) => read(offset, Math.max(0, Math.min(lengthBytes, sizeBytes - offset)))),
  async *stream(offset = 0, lengthBytes = sizeBytes) {
    if (lengthBytes === 0) return
    const range = { start: offset, end: offset + lengthBytes - 1 }
    try {
      for await (const chunk of createReadStream(file, { ...range, highWaterMark: MiB, signal }))
        yield chunk as Uint8Array
    } catch (error) {
      throw fileError(error, file)
    }
  },
})

async function readAt(handle: FileHandle, offset: number, lengthBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes)
  let filled = 0
  while (filled < lengthBytes) {
    const { bytesRead } = await handle.read(bytes, filled, lengthBytes - filled, offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return bytes.subarray(0, filled)
}

/** Opens a file of this computer for reads at given offsets and closes it in any case. */
export const withFile = <T>(
  file: string,
  use: (read: (offset: number, lengthBytes: number) => Promise<Uint8Array>) => Promise<T>,
): Promise<T> =>
  translated(file, async () => {
    const handle = await open(file, 'r')
    try {
      return await use((offset, lengthBytes) => readAt(handle, offset, lengthBytes))
    } finally {
      await handle.close()
    }
  })
