import { open } from 'node:fs/promises'

/** The content of a file is on the disk when it resolves. */
export async function syncFile(path: string): Promise<void> {
  // Windows flushes only what was opened for writing, which a read-only file refuses: its content was flushed before
  const handle = await open(path, process.platform === 'win32' ? 'r+' : 'r').catch((error: unknown) => {
    if (process.platform === 'win32') return undefined
    throw error
  })
  try {
    await handle?.sync()
  } finally {
    await handle?.close()
  }
}

/** The names in a folder are on the disk when it resolves. Windows keeps the order of its journal by itself. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform !== 'win32') await syncFile(path)
}
