import { link, lstat, mkdir, readFile, readlink, symlink, unlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Stats } from 'node:fs'
import type { ObjectRef } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { folderOf, folders, markExtension, objectPath } from '../layout.ts'
import { syncFile, syncFolder } from '#main/transports/local/durable.ts'
import { systemCode } from '#main/transports/local/file-errors.ts'
import { taken } from './errors.ts'

/** The files of one object; absolute paths. */
interface Places {
  readonly folder: string
  readonly object: string
  readonly mark: string
  /** Where the object is made before it gets its name. Names of objects never begin with a dot. */
  readonly temporary: string
}

function placesOf(volume: string, ref: ObjectRef, mark: string): Places {
  const object = join(volume, objectPath(ref))
  const folder = join(volume, folderOf(ref))
  return {
    folder,
    object,
    mark: `${object}${markExtension}`,
    temporary: join(folder, `.${basename(object)}.${mark}`),
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
 * Marks the name, then publishes the object (docs/adr/0003), each whole and under a name that was free: symlink() and
 * link() fail when the name exists. A mark of the same job is from a run that was cut off: that run is brought to its
 * end. What a failed run has made, it removes.
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
      await unlessTaken(makeMark(places.mark, mark), places.mark, object)
      isFresh = true
    }
    // never younger than its object
    await syncFolder(places.folder)
    await removeFile(places.temporary)
    await publication.make(places.temporary)
    await syncFile(places.temporary)
    signal.throwIfAborted()
    await unlessTaken(link(places.temporary, places.object), places.object, object)
    isFresh = false
  } finally {
    await removeFile(places.temporary)
    if (isFresh) await removeFile(places.mark)
  }
  await syncFolder(places.folder)
}

/** Removes object and mark if the mark is the given one, and what a run of that job has left half-made. */
export async function withdraw(volume: string, ref: ObjectRef, mark: string): Promise<void> {
  const places = placesOf(volume, ref, mark)
  await removeFile(places.temporary)
  if ((await readMark(places.mark)) !== mark) return
  // in this order: the mark stays as long as there is something that it is about
  await removeFile(places.object)
  await removeFile(places.mark)
  await syncFolder(places.folder)
}

/** A symbolic link whose text names the job; Windows lets only some users make one, and gets a small file. */
async function makeMark(path: string, mark: string): Promise<void> {
  if (process.platform === 'win32') await writeFile(path, markText(mark), { flag: 'wx', flush: true })
  else await symlink(markText(mark), path)
}

const markText = (mark: string): string => `job=${mark}`

async function unlessTaken(work: Promise<void>, path: string, object: string): Promise<void> {
  try {
    await work
  } catch (error) {
    const code = systemCode(error)
    if (code === 'EEXIST') throw taken(object, `${path} is there`)
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'ENOSYS') throw noLinks(object, error)
    throw error
  }
}

/** FAT and exFAT, and some network file systems. */
const noLinks = (object: string, cause: unknown): AppError =>
  new AppError('not-supported', 'The file system of the volume has no links, which keep names unique', {
    object,
    advice: 'Use a folder on ext4, XFS, Btrfs, APFS or NTFS.',
    cause,
  })

/** The job whose mark a mark is; undefined: there is none. */
export async function readMark(path: string): Promise<string | undefined> {
  const text = await orUndefined(process.platform === 'win32' ? readFile(path, 'utf8') : readlink(path))
  return text === undefined ? undefined : (/^job=(.*)$/.exec(text)?.[1] ?? '')
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
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
