import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { randomUUID } from 'node:crypto'
import { open, readFile, unlink, type FileHandle } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { AppError } from '#shared/errors/app-error.ts'
import { keptEnvironment } from '#main/transports/local/kept-environment.ts'
import { readText } from './files.ts'
import type { VmPlaces } from './places.ts'
import { openMonitor } from './qmp.ts'

/** What a start may take: QEMU logs in to the LUNs before it goes into the background. */
const startTimeoutMs = 60_000
const quitTimeoutMs = 5_000
const killTimeoutMs = 10_000
const askTimeoutMs = 2_000
/** How often a process is looked for that is about to end: nothing tells of the end of one that is no child. */
const lookMs = 20

/** sockaddr_un has 104 bytes on macOS, 108 on Linux, with a zero at the end. */
const longestSocketPath = 103

export interface QemuStart {
  readonly program: string
  readonly args: readonly string[]
  readonly places: VmPlaces
  /** For messages: "VM web". */
  readonly object: string
  /** Read by QEMU from {@link secretFileOfChild}. */
  readonly secret?: string
}

/** Where a child finds the fourth of the files that it is started with. */
export const secretFileOfChild = '/dev/fd/3'

/** Starts QEMU and returns when its devices are there. It goes on when this console ends. */
export async function startQemu(start: QemuStart, signal: AbortSignal): Promise<void> {
  const { places, secret } = start
  if (Buffer.byteLength(places.monitor) > longestSocketPath)
    throw new AppError('bad-request', 'The path of the data folder is too long for the sockets of VMs', {
      object: places.monitor,
      advice: 'Choose a shorter one with --data-dir.',
    })
  if (secret === undefined) return runQemu(start, undefined, signal)
  const file = await openNameless(places.folder)
  try {
    await file.write(secret, 0)
    await runQemu(start, file.fd, signal)
  } finally {
    await file.truncate(0)
    await file.close()
  }
}

/**
 * For the user alone, and without a name before anything is in it: nothing is left of it, however this process ends. In
 * memory where there is a folder of that kind.
 */
async function openNameless(folder: string): Promise<FileHandle> {
  const inMemory = process.platform === 'linux' ? [process.env.XDG_RUNTIME_DIR, '/dev/shm'] : []
  for (const place of inMemory) {
    if (place === undefined || !isAbsolute(place)) continue
    const file = await openNamelessIn(place).catch(() => undefined)
    if (file !== undefined) return file
  }
  return openNamelessIn(folder)
}

async function openNamelessIn(folder: string): Promise<FileHandle> {
  const path = join(folder, `gantry-start.${randomUUID()}`)
  const file = await open(path, 'wx+', 0o600)
  await unlink(path)
  return file
}

async function runQemu(
  { program, args, places, object, secret }: QemuStart,
  secretFile: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const child = spawn(program, args, {
    cwd: places.folder,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', ...(secretFile === undefined ? [] : [secretFile])],
    env: keptEnvironment(),
    signal: AbortSignal.any([signal, AbortSignal.timeout(startTimeoutMs)]),
  })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-8000)))
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    if (code === 0) return
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') throw noQemu(object)
    signal.throwIfAborted()
    throw new AppError('timeout', `QEMU has not come up within ${startTimeoutMs / 1000} s`, {
      object,
      effect: 'unknown',
      facts: { 'QEMU says': said.trim() },
      cause: error,
    })
  }
  const facts = { 'QEMU says': said.trim() }
  if (said.includes('Authentication failure'))
    throw secret === undefined
      ? new AppError('auth-failed', 'The array refused QEMU, which logged in without CHAP', {
          object,
          facts,
          advice: 'The target asks for a user and a secret, which this array does not have in the inventory.',
        })
      : new AppError('auth-failed', 'The array refused the CHAP login of QEMU: user or secret is another', {
          object,
          facts,
          advice: 'Check the secret that was given for the array, then start the VM again.',
        })
  throw new AppError('device-rejected', 'QEMU does not start', {
    object,
    facts,
    advice: 'Correct what QEMU names; "gantry host probe" looks at what it needs.',
  })
}

export const noQemu = (object: string): AppError =>
  new AppError('not-supported', 'QEMU is not installed on this computer', {
    object,
    advice: qemuAdvice,
  })

export const qemuAdvice =
  'Install QEMU for x86_64 with its iSCSI block driver: qemu-system-x86 and qemu-block-extra (Debian, Ubuntu), qemu-kvm and qemu-kvm-block-iscsi (Red Hat).'

/**
 * The process that runs the VM. QEMU keeps its number in a file; that it is still the same process is known from its
 * command line, which names that file and with it the VM. So nothing has to be written down after a start.
 */
export async function findQemu(places: Pick<VmPlaces, 'pidFile'>): Promise<number | undefined> {
  const pid = Number((await readText(places.pidFile))?.trim())
  if (!Number.isSafeInteger(pid) || pid <= 1) return undefined
  return (await commandLineOf(pid)).includes(places.pidFile) ? pid : undefined
}

/** Empty for a process that is not there, or that has ended and only waits for its parent. */
async function commandLineOf(pid: number): Promise<string> {
  if (process.platform === 'linux') return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  const { stdout } = await promisify(execFile)('ps', ['-ww', '-o', 'args=', '-p', String(pid)]).catch(() => ({
    stdout: '',
  }))
  return stdout
}

export type QemuState = 'running' | 'paused' | 'io-error' | 'stopped'

/** A QEMU that runs and does not answer is running. */
export async function stateOfQemu(places: VmPlaces): Promise<QemuState> {
  if ((await findQemu(places)) === undefined) return 'stopped'
  const signal = AbortSignal.timeout(askTimeoutMs)
  try {
    const monitor = await openMonitor(places.monitor, signal)
    if (monitor === undefined) return 'running'
    try {
      const { status } = (await monitor.execute('query-status', signal)) as { status?: string }
      if (status === 'io-error') return 'io-error'
      return status === 'paused' || status === 'suspended' ? 'paused' : 'running'
    } finally {
      monitor.close()
    }
  } catch {
    return 'running'
  }
}

/** Ends QEMU at once; resolves when the process is gone. Throws timeout when it is still there. */
export async function stopQemu(places: VmPlaces, object: string): Promise<void> {
  if ((await findQemu(places)) === undefined) return
  await quit(places)
  if (await isGone(places, quitTimeoutMs)) return
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const pid = await findQemu(places)
    if (pid === undefined) return
    process.kill(pid, signal)
    if (await isGone(places, killTimeoutMs)) return
  }
  throw new AppError('timeout', 'QEMU does not end', {
    object,
    effect: 'unknown',
    advice: 'It may wait for its storage; see that the array answers, then stop the VM again.',
  })
}

async function quit(places: VmPlaces): Promise<void> {
  const signal = AbortSignal.timeout(askTimeoutMs)
  try {
    const monitor = await openMonitor(places.monitor, signal)
    await monitor?.execute('quit', signal)
    monitor?.close()
  } catch {
    // it is ended by a signal then
  }
}

async function isGone(places: VmPlaces, timeoutMs: number): Promise<boolean> {
  for (const end = Date.now() + timeoutMs; Date.now() < end; await delay(lookMs))
    if ((await findQemu(places)) === undefined) return true
  return false
}
