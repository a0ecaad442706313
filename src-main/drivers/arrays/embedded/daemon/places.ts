import { createHash } from 'node:crypto'
import { lstat, mkdir, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AppError } from '#shared/errors/app-error.ts'
import { translateError } from '../errors.ts'

/** What the process that serves LUNs keeps of one array, in a folder of its own below the console's data folder. */
export interface DaemonPlaces {
  readonly folder: string
  readonly table: string
  readonly target: string
  readonly log: string
}

export const daemonPlaces = (folder: string): DaemonPlaces => ({
  folder,
  table: join(folder, 'luns.json'),
  target: join(folder, 'target'),
  log: join(folder, 'log.txt'),
})

/** sockaddr_un has 104 bytes on macOS, 108 on Linux, with a zero at the end. */
const longestSocketPath = 100
const socketName = /^serving-(\d{1,9})\.sock$/

/** Sockets have numbers, so that a new process needs to remove nothing to begin: see become-the-one.ts. */
export const socketPath = (folder: string, number: number): string => join(folder, `serving-${number}.sock`)

/** Numbers of the sockets that are there, the highest first. */
export async function socketNumbers(folder: string): Promise<number[]> {
  const names = await readdir(folder)
  return names
    .flatMap((name) => socketName.exec(name)?.[1] ?? [])
    .map(Number)
    .toSorted((a, b) => b - a)
}

/** Windows has named pipes in place of sockets; they go with their process. */
export const pipeName = (folder: string): string =>
  `\\\\.\\pipe\\gantry-${createHash('sha256').update(folder).digest('hex').slice(0, 32)}`

/** The folder of the sockets, made when it is missing; where the array's own has too long a name, a short one beside. */
export async function socketFolder(folder: string): Promise<string> {
  await makePrivateFolder(folder)
  if (Buffer.byteLength(socketPath(folder, 999_999_999)) <= longestSocketPath) return folder
  const name = createHash('sha256').update(folder).digest('hex').slice(0, 24)
  const short = join(process.env['XDG_RUNTIME_DIR'] ?? tmpdir(), `gantry-${name}`)
  await makePrivateFolder(short)
  return short
}

/** What another user could put there would be trusted with secrets. */
async function makePrivateFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw translateError(error, path)
  }
  const found = await lstat(path)
  const isOurs =
    process.getuid === undefined || (found.uid === process.getuid() && (found.mode & 0o022) === 0)
  if (!found.isDirectory() || !isOurs)
    throw new AppError('auth-failed', 'The folder belongs to another user, or others may write to it', {
      object: path,
      advice: 'Look who made it; remove it, or choose another folder with --data-dir.',
    })
}
