import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '#main/transports/local/durable.ts'
import { fileError, systemCode } from '#main/transports/local/file-errors.ts'

const isAbsent = (error: unknown): boolean => systemCode(error) === 'ENOENT'

/** For the user alone, as a whole or not at all, and on the disk when it resolves. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const next = `${path}.${randomUUID()}`
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const file = await open(next, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(next, path)
    await syncFolder(dirname(path))
  } catch (error) {
    await rm(next, { force: true })
    throw fileError(error, path)
  }
}

export async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw fileError(error, path)
  }
}

/** undefined: it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (isAbsent(error)) return []
    throw fileError(error, folder)
  }
}

/** Durable; what is not there is removed already. */
export async function removeAll(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true })
    await syncFolder(dirname(path)).catch((error: unknown) => {
      if (!isAbsent(error)) throw error
    })
  } catch (error) {
    throw fileError(error, path)
  }
}
