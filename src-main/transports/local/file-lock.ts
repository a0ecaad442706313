import { closeSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'

/** sys/file.h: LOCK_EX | LOCK_NB */
const exclusiveNow = 2 | 4

const flock = loadFlock()

/** A lock on a file that ends with whoever holds it: flock(2), advisory, of the whole file. */
export interface FileLock {
  release(): void
}

/**
 * Takes the lock; 'held' when another process (or another lock of this one) has it. Where the system has no such lock
 * nothing is held, and everything succeeds. Throws the system's error when the file cannot be opened.
 */
export function lockFile(path: string): FileLock | 'held' {
  const fd = openSync(path, 'r')
  if (flock !== undefined && flock(fd, exclusiveNow) !== 0) {
    closeSync(fd)
    return 'held'
  }
  return { release: () => closeSync(fd) }
}

function loadFlock(): ((fd: number, operation: number) => number) | undefined {
  if (process.platform === 'win32') return undefined
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
    return koffi.load(null).func('int flock(int fd, int operation)') as (fd: number, op: number) => number
  } catch {
    return undefined
  }
}
