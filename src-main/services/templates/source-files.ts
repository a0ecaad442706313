import type { PlatformPath } from 'node:path'
import type { ConsolePlace, ImageFormat } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { FoundImage } from '#main/protocols/images/container-disk.ts'
import { inspectImage } from '#main/protocols/images/inspect.ts'
import { runInspections } from '#main/protocols/images/run-inspections.ts'

/** Bytes that VM data is read from: a file, or an entry of an archive. Ranges end where they end. */
export interface SourceBytes {
  /** For messages, and as a template file's source. */
  readonly name: string
  readonly sizeBytes: number
  read(offset: number, lengthBytes: number): Promise<Uint8Array>
  /** As `read`, in order and in pieces; default: all of it. */
  stream(offset?: number, lengthBytes?: number): AsyncIterable<Uint8Array>
}

/**
 * Files of one computer until a signal. Errors: not-found, auth-failed (no right), bad-request (not a regular file),
 * stale (it changed while it was read), and of a server also those of its connection.
 */
export interface SourceFiles {
  readonly path: PlatformPath
  /** Names in a folder. */
  list(folder: string): Promise<string[]>
  /** A regular file. `insideOf`: no link leads out of this folder (bad-request). */
  open(path: string, insideOf?: string): Promise<SourceBytes>
}

export type OpenSourceFiles = (on: ConsolePlace, signal: AbortSignal) => SourceFiles

/** An entry of an archive. */
export function partOf(whole: SourceBytes, name: string, start: number, sizeBytes: number): SourceBytes {
  const within = (offset: number, lengthBytes: number): [number, number] => [
    start + offset,
    Math.max(0, Math.min(lengthBytes, sizeBytes - offset)),
  ]
  return {
    name,
    sizeBytes,
    read: (offset, lengthBytes) => whole.read(...within(offset, lengthBytes)),
    stream: (offset = 0, lengthBytes = sizeBytes) => whole.stream(...within(offset, lengthBytes)),
  }
}

/** Text in UTF-8 of at most `maxBytes`; throws bad-request. */
export async function readText(file: SourceBytes, maxBytes: number): Promise<string> {
  if (file.sizeBytes > maxBytes)
    throw new AppError('bad-request', `"${file.name}" is larger than ${maxBytes} bytes`, {
      object: file.name,
    })
  const bytes = await file.read(0, file.sizeBytes)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new AppError('bad-request', `"${file.name}" is not text in UTF-8`, {
      object: file.name,
      cause: error,
    })
  }
}

/** Which images the bytes are, in their order. */
export async function inspectImages(
  files: readonly { readonly file: SourceBytes; readonly claimedFormat?: ImageFormat }[],
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
          return Promise.all(ranges.map(({ offset, lengthBytes }) => file.read(offset, lengthBytes)))
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
