import { chmod, constants, copyFile, open, readdir, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { EmbeddedConfig, ObjectFacts, ObjectRef } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { readAll } from '#main/transports/block/bulk.ts'
import { openFileDevice } from '#main/transports/block/file-device.ts'
import type { RunContext } from '../../action.ts'
import type { ByteRange, CopyObject, CreateObject } from '../contract.ts'
import { describeObject, folders, markExtension, objectPath, parseObjectPath, volumePath } from '../layout.ts'
import { translateError, volumeGone } from './errors.ts'
import { publish, readMark, statOf } from './publish.ts'

const blockBytes = 512

/** Objects as files below the volumes' folders, as docs/adr/0003 says. Errors are AppErrors. */
export interface ObjectFiles {
  list(volume: string, signal: AbortSignal): Promise<ObjectFacts[]>
  find(ref: ObjectRef, signal: AbortSignal): Promise<ObjectFacts | undefined>
  create(spec: CreateObject, signal: AbortSignal): Promise<void>
  /** A copy that shares blocks; not-supported where files cannot. */
  clone(spec: CopyObject, signal: AbortSignal): Promise<void>
  /** A copy of every written byte. */
  copy(spec: CopyObject, context: RunContext): Promise<void>
  read(
    ref: ObjectRef,
    ranges: readonly ByteRange[],
    signal: AbortSignal,
  ): Promise<{ readonly sizeBytes: number; readonly parts: Uint8Array[] }>
  hash(ref: ObjectRef, context: RunContext): Promise<string>
}

export function createObjectFiles(config: EmbeddedConfig): ObjectFiles {
  const pathOf = (ref: ObjectRef): string => join(volumePath(config, ref.volume), objectPath(ref))

  /** Runs work in a volume whose folder is there. */
  async function inVolume<T>(
    volume: string,
    object: string,
    signal: AbortSignal,
    work: (folder: string) => Promise<T>,
  ): Promise<T> {
    const folder = volumePath(config, volume)
    try {
      signal.throwIfAborted()
      await requireFolder(folder, object)
      return await work(folder)
    } catch (error) {
      throw translateError(error, object)
    }
  }

  const publishCopy = (
    { from, to, mark }: CopyObject,
    signal: AbortSignal,
    make: (source: string, temporary: string, object: string) => Promise<void>,
  ): Promise<void> => {
    const object = describeObject(config, to)
    return inVolume(to.volume, object, signal, async (folder) => {
      const source = pathOf(from)
      await requireFile(source, describeObject(config, from))
      const mode = to.kind === 'snapshot' ? 0o444 : 0o600
      await publish(folder, {
        ref: to,
        mark,
        object,
        signal,
        async make(temporary) {
          await make(source, temporary, object)
          await chmod(temporary, mode)
        },
      })
    })
  }

  return {
    list: (volume, signal) =>
      inVolume(volume, `volume ${config.name}:${volume}`, signal, async (folder) => {
        const found = await Promise.all(folders.map((name) => listFolder(volume, folder, name)))
        return found.flat()
      }),

    find: (ref, signal) =>
      inVolume(ref.volume, describeObject(config, ref), signal, (folder) => describeFile(folder, ref)),

    create(spec, signal) {
      const { volume, kind, name, sizeBytes, mark } = spec
      const object = describeObject(config, spec)
      return inVolume(volume, object, signal, (folder) =>
        publish(folder, {
          ref: { volume, kind, name },
          mark,
          object,
          signal,
          isSame: ({ size }) => size === sizeBytes,
          async make(temporary) {
            await writeFile(temporary, '', { flag: 'wx', mode: 0o600 })
            await truncate(temporary, sizeBytes)
          },
        }),
      )
    },

    clone: (spec, signal) =>
      publishCopy(spec, signal, (source, temporary) =>
        copyFile(source, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE),
      ),

    copy: (spec, context) =>
      publishCopy(spec, context.signal, (source, temporary, object) =>
        copyWholeFile(source, temporary, context, object),
      ),

    read: (ref, ranges, signal) => {
      const object = describeObject(config, ref)
      return inVolume(ref.volume, object, signal, async () => {
        const file = await open(pathOf(ref), 'r')
        try {
          const { size } = await file.stat()
          const parts: Uint8Array[] = []
          for (const { offset, lengthBytes } of ranges) {
            signal.throwIfAborted()
            const bytes = Buffer.alloc(lengthBytes)
            parts.push(bytes.subarray(0, await readAll(file, bytes, offset)))
          }
          return { sizeBytes: size, parts }
        } finally {
          await file.close()
        }
      })
    },

    hash: (ref, context) =>
      inVolume(ref.volume, describeObject(config, ref), context.signal, () => hashFile(pathOf(ref), context)),
  }
}

/** SHA-256 (hex) of a whole file. */
async function hashFile(path: string, context: RunContext): Promise<string> {
  const file = await openFileDevice(path, { readOnly: true, blockBytes: 1 })
  try {
    return await file.hash(0, file.sizeBytes, context)
  } finally {
    await file.close()
  }
}

/**
 * A copy that shares nothing with its original; runs of zeros become holes. Throws stale when the original has
 * changed meanwhile: such a copy would be of no point in time.
 */
async function copyWholeFile(from: string, to: string, context: RunContext, object: string): Promise<void> {
  const original = await openFileDevice(from, { readOnly: true, blockBytes: 1 })
  try {
    const before = await stat(from, { bigint: true })
    await original.readIntoFile(0, original.sizeBytes, to, context)
    const after = await stat(from, { bigint: true })
    if (after.mtimeNs !== before.mtimeNs || after.size !== before.size)
      throw new AppError('stale', 'The original has changed while it was copied', {
        object,
        advice: 'Take it out of use first, then try again.',
      })
  } finally {
    await original.close()
  }
}

export async function requireFolder(folder: string, object: string): Promise<void> {
  const found = await stat(folder).catch((error: unknown) => {
    const translated = translateError(error, object)
    // what may not be seen is not what is not there
    if (translated.code === 'not-found') return undefined
    throw translated
  })
  if (found?.isDirectory() !== true) throw volumeGone(folder, object)
}

async function requireFile(path: string, object: string): Promise<void> {
  if ((await statOf(path)) === undefined)
    throw new AppError('not-found', 'It is not there', { object, advice: 'Check the name.' })
}

async function listFolder(volume: string, folder: string, name: string): Promise<ObjectFacts[]> {
  const names = await readdir(join(folder, name)).catch((error: unknown) => {
    if (translateError(error, volume).code === 'not-found') return []
    throw error
  })
  const paths = new Set(
    names.map(
      (entry) => `${name}/${entry.endsWith(markExtension) ? entry.slice(0, -markExtension.length) : entry}`,
    ),
  )
  const found = [...paths].toSorted().map(async (path) => {
    const ref = parseObjectPath(volume, path)
    return ref === undefined ? undefined : describeFile(folder, ref)
  })
  return (await Promise.all(found)).filter((facts) => facts !== undefined)
}

/** undefined: neither the object nor its mark is there. */
async function describeFile(folder: string, ref: ObjectRef): Promise<ObjectFacts | undefined> {
  const path = join(folder, objectPath(ref))
  const [file, mark] = await Promise.all([statOf(path), readMark(`${path}${markExtension}`)])
  if (file === undefined && mark === undefined) return undefined
  return {
    volume: ref.volume,
    kind: ref.kind,
    name: ref.name,
    sizeBytes: file?.size ?? 0,
    allocatedBytes: (file?.blocks ?? 0) * blockBytes,
    ...(mark === undefined ? {} : { mark }),
  }
}
