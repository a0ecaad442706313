import { link, lstat, mkdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Stats } from 'node:fs'
import type { ObjectRef } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { folderOf, folders, markExtension, objectPath, temporaryPath } from '../layout.ts'
import { syncFile, syncFolder } from './durable.ts'
import { codeOf, taken } from './errors.ts'

/** The files of one object; absolute paths. */
interface Places {
  readonly folder: string
  readonly object: string
  readonly mark: string
  readonly temporary: string
  readonly temporaryMark: string
}

function placesOf(volume: string, ref: ObjectRef, mark: string): Places {
  const object = join(volume, objectPath(ref))
  const temporary = join(volume, temporaryPath(ref, mark))
  return {
    folder: join(volume, folderOf(ref)),
    object,
    mark: `${object}${markExtension}`,
    temporary,
    temporaryMark: `${temporary}.mark`,
  }
}

export interface Publication {
  readonly ref: ObjectRef
  readonly mark: string
  /** Makes the object at a temporary path. */
  readonly make: (temporary: string) => Promise<void>
  /** Whether what a run of the same job has published is what is wanted. */
  readonly isSame?: (object: Stats) => boolean
  /** For messages. */
  readonly object: string
  readonly signal: AbortSignal
}

/**
 * Publishes the mark, then the object (docs/adr/0003), each whole and under a name that was free: link() fails when
 * the name exists. A mark of the same job is from a run that was cut off: that run is brought to its end. What a
 * failed run has made, it removes.
 */
export async function publish(volume: string, publication: Publication): Promise<void> {
  const { ref, mark, object, signal } = publication
  const places = placesOf(volume, ref, mark)
  signal.throwIfAborted()
  // all three at once: a volume that has been used looks the same before a deployment and after it
  for (const folder of folders) await mkdir(join(volume, folder), { recursive: true, mode: 0o700 })
  const holder = await readMark(places.mark)
  const present = await statOf(places.object)
  if (holder !== undefined && holder !== mark) throw taken(object, `job ${holder} has made it`)
  if (present !== undefined) {
    if (holder === undefined) throw taken(object, 'it is there and bears no mark')
    if (publication.isSame?.(present) === false) throw taken(object, 'it has another size')
    await syncFile(places.object)
    await syncFolder(places.folder)
    return
  }
  let isFresh = false
  try {
    if (holder === undefined) {
      const text = `job=${mark}\ncreated=${new Date().toISOString()}\n`
      await writeFile(places.temporaryMark, text, { mode: 0o600, flush: true })
      await publishAs(places.temporaryMark, places.mark, object)
      isFresh = true
      await syncFolder(places.folder)
    }
    signal.throwIfAborted()
    await removeFile(places.temporary)
    await publication.make(places.temporary)
    await syncFile(places.temporary)
    signal.throwIfAborted()
    await publishAs(places.temporary, places.object, object)
    isFresh = false
  } finally {
    await removeFile(places.temporary)
    await removeFile(places.temporaryMark)
    if (isFresh) await removeFile(places.mark)
  }
  await syncFolder(places.folder)
}

/** Removes object and mark if the mark is the given one, and what a run of that job has left half-made. */
export async function withdraw(volume: string, ref: ObjectRef, mark: string): Promise<void> {
  const places = placesOf(volume, ref, mark)
  await removeFile(places.temporary)
  await removeFile(places.temporaryMark)
  if ((await readMark(places.mark)) !== mark) return
  await removeFile(places.object)
  await removeFile(places.mark)
  await syncFolder(places.folder)
}

async function publishAs(from: string, to: string, object: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    const code = codeOf(error)
    if (code === 'EEXIST') throw taken(object, `${to} is there`)
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'ENOSYS') throw noHardLinks(object, error)
    throw error
  }
}

/** FAT and exFAT, and some network file systems. */
const noHardLinks = (object: string, cause: unknown): AppError =>
  new AppError('not-supported', 'The file system of the volume has no hard links, which keep names unique', {
    object,
    advice: 'Use a folder on ext4, XFS, Btrfs, APFS or NTFS.',
    cause,
  })

/** The job whose mark a mark file is; undefined: there is none. */
export async function readMark(path: string): Promise<string | undefined> {
  const text = await orUndefined(readFile(path, 'utf8'))
  return text === undefined ? undefined : (/^job=(.*)$/m.exec(text)?.[1] ?? '')
}

/** undefined: no file has this name. Does not follow links, which no object of ours is. */
export async function statOf(path: string): Promise<Stats | undefined> {
  const stats = await orUndefined(lstat(path))
  return stats?.isFile() === true ? stats : undefined
}

export async function removeFile(path: string): Promise<void> {
  await orUndefined(unlink(path))
}

async function orUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
