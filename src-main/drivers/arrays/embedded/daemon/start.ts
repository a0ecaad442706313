import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, open, rename, stat } from 'node:fs/promises'
import { getCompileCacheDir } from 'node:module'
import { dirname, join } from 'node:path'
import { AppError } from '#shared/errors/app-error.ts'
import { decodeError } from '#shared/errors/wire-error.ts'
import { MiB } from '#shared/units/bytes.ts'
import { daemonPlaces } from './places.ts'
import { birthSchema } from './protocol.ts'
import { keptEnvironment } from '#main/transports/local/kept-environment.ts'

const birthTimeoutMs = 30_000
const longestLogBytes = 4 * MiB

/**
 * Starts the process that serves an array and waits until it serves or gives way to one that does already. It is not
 * a child in any other sense: it goes on when this process ends, and no key of its terminal reaches it.
 */
export async function startDaemon(folder: string, version: string): Promise<void> {
  const places = daemonPlaces(folder)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const log = await openLog(places.log)
  try {
    const compiled = getCompileCacheDir()
    const child = spawn(process.execPath, [findEntry(), folder, version], {
      cwd: folder,
      detached: true,
      stdio: ['ignore', log.fd, log.fd, 'ipc'],
      env: {
        ...keptEnvironment(),
        ...(compiled === undefined ? {} : { NODE_COMPILE_CACHE: dirname(compiled) }),
        // the window's own program is Node with this
        ...(process.versions['electron'] === undefined ? {} : { ELECTRON_RUN_AS_NODE: '1' }),
      },
    })
    try {
      const timeout = AbortSignal.timeout(birthTimeoutMs)
      const [message] = await Promise.race([
        once(child, 'message', { signal: timeout }),
        once(child, 'exit', { signal: timeout }).then(() => [undefined]),
      ])
      const birth = birthSchema.safeParse(message)
      if (!birth.success)
        throw new AppError('device-rejected', 'The process that serves the array has ended at once', {
          object: folder,
          facts: { log: places.log },
          advice: 'The end of its log tells why.',
        })
      if (birth.data.born === 'failed') throw decodeError(birth.data.error)
    } finally {
      if (child.connected) child.disconnect()
      child.unref()
    }
  } finally {
    await log.close()
  }
}

/** Appends; a log that has become long is put aside first, in place of the one before. */
async function openLog(path: string) {
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  )
  if (size > longestLogBytes) await rename(path, `${path}.before`)
  return open(path, 'a', 0o600)
}

/** The program: beside this file among the sources, beside the window's program in a build. */
function findEntry(): string {
  const here = import.meta.dirname
  const source = join(here, 'main.ts')
  return existsSync(source) ? source : join(here, 'embedded-daemon.cjs')
}
