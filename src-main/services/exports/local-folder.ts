import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AppError } from '#shared/errors/app-error.ts'
import { MiB } from '#shared/units/bytes.ts'
import { exportMarkName, type ExportFile, type ExportFolder } from '#main/jobs/kinds/export-folder.ts'

const zeros = Buffer.alloc(MiB)
/** A hole of less is no gain. */
const leastHoleBytes = 4096

/** {@link ExportFolder} at a path of this computer. */
export function openExportFolder(path: string, mark: string): ExportFolder {
  const partialPath = `${path}.partial-${mark}`
  const at = (name: string): string => join(partialPath, name)
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw writeError(error, path)
    }
  }

  async function isPublished(): Promise<boolean> {
    try {
      const found: unknown = JSON.parse(await readFile(join(path, exportMarkName), 'utf8'))
      return typeof found === 'object' && found !== null && 'job' in found && found.job === mark
    } catch {
      return false
    }
  }

  return {
    partialPath,
    begin: () =>
      guarded(async () => {
        await requireFree(path)
        await mkdir(partialPath).catch(unless('EEXIST'))
      }),
    hasBegun: () => exists(partialPath),
    discard: () => guarded(() => rm(partialPath, { recursive: true, force: true })),
    has: (name) => exists(at(name)),

    async checksum(name) {
      if (!(await exists(at(name)))) return undefined
      return guarded(async () => {
        const hash = createHash('sha256')
        let sizeBytes = 0
        for await (const chunk of createReadStream(at(name), { highWaterMark: MiB })) {
          hash.update(chunk as Buffer)
          sizeBytes += (chunk as Buffer).length
        }
        return { name, sizeBytes, sha256: hash.digest('hex') }
      })
    },

    create: (name) => guarded(() => createFile(at(name), guarded)),
    isPublished,

    publish: () =>
      guarded(async () => {
        if (await isPublished()) return
        await requireFree(path)
        await syncFolder(partialPath)
        // what appeared under the name meanwhile is not replaced, unless it is an empty folder
        await rename(partialPath, path).catch((error: unknown) => {
          throw codeOf(error) === 'ENOENT' ? error : taken(path)
        })
        await syncFolder(dirname(path))
      }),

    withdraw: () =>
      guarded(async () => {
        if (await isPublished()) await rename(path, partialPath)
      }),
  }
}

async function createFile(
  path: string,
  guarded: <T>(work: () => Promise<T>) => Promise<T>,
): Promise<ExportFile> {
  const temporary = `${path}.incomplete`
  const handle = await open(temporary, 'w')
  let position = 0
  let isOpen = true
  const close = async (): Promise<void> => {
    if (isOpen) await handle.close()
    isOpen = false
  }
  return {
    write: (chunk) =>
      guarded(async () => {
        if (!isHole(chunk)) {
          let written = 0
          while (written < chunk.length) {
            const rest = chunk.length - written
            written += (await handle.write(chunk, written, rest, position + written)).bytesWritten
          }
        }
        position += chunk.length
      }),
    keep: () =>
      guarded(async () => {
        await handle.truncate(position)
        await handle.sync()
        await close()
        await rename(temporary, path)
      }),
    discard: async () => {
      await close().catch(() => undefined)
      await rm(temporary, { force: true }).catch(() => undefined)
    },
  }
}

const isHole = (chunk: Uint8Array): boolean =>
  chunk.length >= leastHoleBytes &&
  chunk.length <= zeros.length &&
  zeros.compare(chunk, 0, chunk.length, 0, chunk.length) === 0

/** The name must not be taken, and the folder that it is to be in must be there. */
export async function requireFree(path: string): Promise<void> {
  if (await exists(path)) throw taken(path)
  const parent = dirname(path)
  const found = await stat(parent).catch((error: unknown) => {
    throw writeError(error, parent)
  })
  if (!found.isDirectory())
    throw new AppError('bad-request', `"${parent}" is not a folder`, { object: parent })
}

const taken = (path: string): AppError =>
  new AppError('busy', `"${path}" is there already`, {
    object: path,
    advice: 'Choose a folder that is not there yet: an export makes its own.',
  })

const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined

const unless =
  (code: string) =>
  (error: unknown): void => {
    if (codeOf(error) !== code) throw error
  }

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw writeError(error, path)
  }
}

/** So that names are on the disk as well as contents; Windows has no such thing. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const texts: Readonly<Record<string, readonly [AppError['code'], string, string?]>> = {
  ENOSPC: [
    'device-rejected',
    'There is no space left on this computer',
    'Free space there, or choose a folder on another disk.',
  ],
  EDQUOT: [
    'device-rejected',
    'The quota of this user on this computer is used up',
    'Free space there, or choose a folder on another disk.',
  ],
  EFBIG: [
    'device-rejected',
    'The file system of this folder cannot hold so large a file',
    'Choose a folder on another disk.',
  ],
  ENOENT: ['not-found', 'The folder is not there on this computer'],
  ENOTDIR: ['not-found', 'The folder is not there on this computer'],
  EACCES: ['auth-failed', 'This user has no right to write there on this computer'],
  EPERM: ['auth-failed', 'This user has no right to write there on this computer'],
  EROFS: ['auth-failed', 'This folder is read-only on this computer'],
}

function writeError(error: unknown, path: string): unknown {
  const code = codeOf(error)
  if (error instanceof AppError || typeof code !== 'string' || !(error instanceof Error)) return error
  const [kind, message, advice] = texts[code] ?? ['device-rejected', 'This computer cannot write there']
  return new AppError(kind, message, {
    object: path,
    facts: { 'system says': error.message },
    ...(advice === undefined ? {} : { advice }),
    cause: error,
  })
}
