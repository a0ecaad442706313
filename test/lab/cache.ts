import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { exec } from './exec.ts'

/** What is costly to make and the same for every lab; the one thing that `down` leaves. */
export const cacheDir = (): string =>
  resolve(process.env['GANTRY_LAB_CACHE'] ?? join(homedir(), '.cache', 'gantry-lab'))

/** Stands for the content of our own files, so that a changed script makes a new cache entry. */
export const contentOf = (...files: readonly string[]): string =>
  files.map((file) => readFileSync(file, 'utf8')).join('\0')

/**
 * The folder that `build` fills, built once for each fingerprint. Built aside and renamed, so a folder that is there
 * is whole, also when several labs build it at once or one dies in the middle.
 */
export async function cached(
  name: string,
  fingerprint: readonly (string | number)[],
  build: (dir: string) => Promise<void>,
): Promise<string> {
  const root = cacheDir()
  const key = createHash('sha256').update(fingerprint.join('\0')).digest('hex').slice(0, 16)
  const finished = join(root, `${name}-${key}`)
  if (existsSync(finished)) return finished
  mkdirSync(root, { recursive: true })
  removeUnfinished(root)
  const unfinished = mkdtempSync(join(root, `.building-${process.pid}-`))
  try {
    await build(unfinished)
    renameSync(unfinished, finished)
  } catch (error) {
    await exec('rm', ['-rf', '--one-file-system', '--', unfinished])
    if (!existsSync(finished)) throw error // otherwise another lab was faster
  }
  return finished
}

/** Folders of builders that no longer run. */
function removeUnfinished(root: string): void {
  for (const name of readdirSync(root)) {
    const pid = /^\.building-(\d+)-/.exec(name)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(root, name), { recursive: true })
  }
}
