import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AppError } from '#shared/errors/app-error.ts'
import { MiB } from '#shared/units/bytes.ts'
import { syncFolder } from '#main/transports/local/durable.ts'
import { fileError, systemCode } from '#main/transports/local/file-errors.ts'
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
      throw fileError(error, path)
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
          throw systemCode(error) === 'ENOENT' ? error : taken(path)
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
    throw fileError(error, parent)
  })
  if (!found.isDirectory())
    throw new AppError('bad-request', `"${parent}" is not a folder`, { object: parent })
}

const taken = (path: string): AppError =>
  new AppError('busy', `"${path}" is there already`, {
    object: path,
    advice: 'Choose a folder that is not there yet: an export makes its own.',
  })

const unless =
  (code: string) =>
  (error: unknown): void => {
    if (systemCode(error) !== code) throw error
  }

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw fileError(error, path)
  }
}
