import { open, realpath, stat, type FileHandle } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { AppError } from '#shared/errors/app-error.ts'
import type { FoundImage } from '#main/protocols/images/container-disk.ts'
import { inspectImage } from '#main/protocols/images/inspect.ts'
import { runInspections } from '#main/protocols/images/run-inspections.ts'
import type { ImageFormat } from '#shared/domain/compute.ts'

/** A range of bytes of a file of this computer: a file, or an entry of an archive. */
export interface LocalBytes {
  /** For messages and as a template file's source. */
  readonly name: string
  readonly path: string
  readonly offset: number
  readonly sizeBytes: number
}

const codes: Readonly<Record<string, 'not-found' | 'auth-failed'>> = {
  ENOENT: 'not-found',
  ENOTDIR: 'not-found',
  EACCES: 'auth-failed',
  EPERM: 'auth-failed',
}

/** An error of the file system as ours. */
export function fileError(error: unknown, path: string): unknown {
  if (
    error instanceof AppError ||
    !(error instanceof Error) ||
    !('code' in error) ||
    typeof error.code !== 'string'
  )
    return error
  return new AppError(codes[error.code] ?? 'device-rejected', `"${path}" cannot be read on this computer`, {
    object: path,
    facts: { 'system says': error.message },
    cause: error,
  })
}

/** A whole regular file. `insideOf`: it must lie in this directory also when symbolic links are followed. */
export async function localFile(path: string, insideOf?: string): Promise<LocalBytes> {
  try {
    const facts = await stat(path)
    if (!facts.isFile()) throw new AppError('bad-request', `"${path}" is not a file`, { object: path })
    if (insideOf !== undefined && dirname(await realpath(path)) !== (await realpath(insideOf)))
      throw new AppError('bad-request', `"${path}" leads out of its folder to ${await realpath(path)}`, {
        object: path,
        advice: 'Put the file itself into the folder.',
      })
    return { name: path, path: resolve(path), offset: 0, sizeBytes: facts.size }
  } catch (error) {
    throw fileError(error, path)
  }
}

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

/** Opens the file for reads at given offsets and closes it in any case. */
export async function withFile<T>(
  path: string,
  use: (read: (offset: number, lengthBytes: number) => Promise<Uint8Array>) => Promise<T>,
): Promise<T> {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, 'r')
    const opened = handle
    return await use((offset, lengthBytes) => readAt(opened, offset, lengthBytes))
  } catch (error) {
    throw fileError(error, path)
  } finally {
    await handle?.close()
  }
}

/** Bytes of the range, never beyond its end. */
export const readBytes = (file: LocalBytes, offset: number, lengthBytes: number): Promise<Uint8Array> =>
  withFile(file.path, (read) =>
    read(file.offset + offset, Math.max(0, Math.min(lengthBytes, file.sizeBytes - offset))),
  )

/** Text in UTF-8 of at most `maxBytes`; throws bad-request. */
export async function readText(file: LocalBytes, maxBytes: number): Promise<string> {
  if (file.sizeBytes > maxBytes)
    throw new AppError('bad-request', `"${file.name}" is larger than ${maxBytes} bytes`, {
      object: file.name,
    })
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readBytes(file, 0, file.sizeBytes))
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('bad-request', `"${file.name}" is not text in UTF-8`, {
      object: file.name,
      cause: error,
    })
  }
}

/** Which images the ranges are, in their order. */
export async function inspectLocalImages(
  files: readonly { readonly file: LocalBytes; readonly claimedFormat?: ImageFormat }[],
  signal: AbortSignal,
): Promise<FoundImage[]> {
  const facts = await runInspections(
    files.map(({ file }) => inspectImage(file.name, file.sizeBytes)),
    (wanted) => {
      signal.throwIfAborted()
      return Promise.all(
        wanted.map(async ({ index, ranges }) => {
          const file = files[index]?.file
          if (file === undefined) return []
          return Promise.all(ranges.map(({ offset, lengthBytes }) => readBytes(file, offset, lengthBytes)))
        }),
      )
    },
  )
  return files.flatMap(({ file, claimedFormat }, index) => {
    const found = facts[index]
    if (found === undefined) return []
    const common = { source: file.name, sizeBytes: file.sizeBytes, facts: found }
    return [claimedFormat === undefined ? common : { ...common, claimedFormat }]
  })
}
