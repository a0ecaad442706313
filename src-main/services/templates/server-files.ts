import { once } from 'node:events'
import { posix } from 'node:path'
import { PassThrough } from 'node:stream'
import { AppError } from '#shared/errors/app-error.ts'
import { MiB } from '#shared/units/bytes.ts'
import type { FolderEntry, RemoteFiles } from '#main/transports/shell/files.ts'
import type { SshSession } from '#main/transports/ssh/contract.ts'
import type { SourceBytes, SourceFiles } from './source-files.ts'

/** {@link SourceFiles} of a server, over SFTP. */
export function serverFiles({ name: server, files }: SshSession, signal: AbortSignal): SourceFiles {
  if (files === undefined)
    throw new AppError('bad-request', 'Files of a server are not read through sudo', {
      object: server,
      advice: 'Log in as a user who may read them.',
    })
  const folders = new Map<string, Promise<FolderEntry[]>>()
  const entries = (folder: string): Promise<FolderEntry[]> => {
    const listed = folders.get(folder) ?? files.list(folder, signal)
    folders.set(folder, listed)
    return listed
  }
  return {
    path: posix,
    list: async (folder) => (await entries(folder)).map(({ name }) => name),
    async open(path, insideOf) {
      const facts =
        insideOf === undefined
          ? await files.stat(path, signal)
          : (await entries(insideOf)).find(({ name }) => posix.join(insideOf, name) === posix.normalize(path))
      const object = `${path} on ${server}`
      if (facts === undefined) throw new AppError('not-found', `"${path}" is not there`, { object })
      if (facts.kind === 'link')
        throw new AppError('bad-request', `"${path}" is a link, which may lead out of its folder`, {
          object,
          advice: 'Put the file itself into the folder.',
        })
      if (facts.kind !== 'file') throw new AppError('bad-request', `"${path}" is not a file`, { object })
      return bytesOf(files, path, facts.sizeBytes, signal)
    },
  }
}

function bytesOf(files: RemoteFiles, path: string, sizeBytes: number, signal: AbortSignal): SourceBytes {
  const stream = (offset = 0, lengthBytes = sizeBytes): AsyncIterable<Uint8Array> =>
    pull(files, path, { offset, lengthBytes, signal })
  return {
    name: path,
    sizeBytes,
    stream,
    async read(offset, lengthBytes) {
      const pieces: Uint8Array[] = []
      for await (const piece of stream(offset, lengthBytes)) pieces.push(piece)
      return Buffer.concat(pieces)
    },
  }
}

/** A file of a server as a stream: no faster than it is taken, and no longer. */
async function* pull(
  files: RemoteFiles,
  path: string,
  range: { readonly offset: number; readonly lengthBytes: number; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  const unwanted = new AbortController()
  const pipe = new PassThrough({ highWaterMark: MiB })
  const reading = files
    .read(path, {
      ...range,
      signal: AbortSignal.any([range.signal, unwanted.signal]),
      async accept(chunk) {
        if (!pipe.write(chunk)) await once(pipe, 'drain')
      },
    })
    .then(
      () => pipe.end(),
      (error: unknown) => pipe.destroy(error as Error),
    )
  try {
    for await (const chunk of pipe) yield chunk as Uint8Array
  } finally {
    unwanted.abort()
    await reading
  }
}
