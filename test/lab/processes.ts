import { spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { labEnvironment, waitFor } from './exec.ts'

/** Set in the environment of every process that a lab starts on this machine, with the lab's folder as value. */
const ownerVariable = 'GANTRY_LAB_OWNER'
const launcher = join(import.meta.dirname, 'launch.sh')

export interface RecordedProcess {
  readonly pid: number
  /** Clock ticks since boot; with the pid it names a process for as long as this machine is up. */
  readonly startTime: string
}

interface Stat {
  readonly state: string
  readonly parent: number
  readonly startTime: string
}

function readStat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', parent: Number(fields[1]), startTime: fields[19] ?? '' }
  } catch {
    return undefined // it ended meanwhile
  }
}

const allPids = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)

/** A process that has ended but was not collected by its parent yet counts as gone. */
export function isRunning(process: RecordedProcess): boolean {
  const stat = readStat(process.pid)
  return stat !== undefined && stat.startTime === process.startTime && stat.state !== 'Z'
}

export const childrenOf = (process: RecordedProcess): RecordedProcess[] =>
  allPids().flatMap((pid) => {
    const stat = readStat(pid)
    return stat?.parent === process.pid ? [{ pid, startTime: stat.startTime }] : []
  })

/** The process recorded under this name if it still runs. */
export function findProcess(runDir: string, name: string): RecordedProcess | undefined {
  let text: string
  try {
    text = readFileSync(join(runDir, `${name}.pid`), 'utf8')
  } catch {
    return undefined
  }
  const [pid, startTime] = text.trim().split(' ')
  if (pid === undefined || startTime === undefined) return undefined
  const process = { pid: Number(pid), startTime }
  return isRunning(process) ? process : undefined
}

/** Records a process that runs already, for {@link findProcess}. Recorded under this name already: throws (EEXIST) if that one runs. */
export function recordProcess(runDir: string, name: string, pid: number): void {
  const file = join(runDir, `${name}.pid`)
  if (findProcess(runDir, name) === undefined) rmSync(file, { force: true })
  writeFileSync(file, `${pid} ${readStat(pid)?.startTime ?? ''}\n`, { flag: 'wx' })
}

/** Starts a process that outlives this one, recorded under `<runDir>/<name>.pid`; its output goes to `logFile`. */
export async function startProcess(options: {
  readonly labDir: string
  readonly runDir: string
  readonly name: string
  readonly command: readonly string[]
  readonly logFile: string
}): Promise<RecordedProcess> {
  const { labDir, runDir, name, command, logFile } = options
  const record = join(runDir, `${name}.pid`)
  rmSync(record, { force: true })
  const log = openSync(logFile, 'a')
  try {
    const child = spawn('/bin/sh', [launcher, record, ...command], {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...labEnvironment, [ownerVariable]: labDir },
    })
    child.unref()
    return await waitFor(
      `${name} to start`,
      () => {
        if (child.exitCode !== null) throw new Error(`${name} ended at once: ${lastLines(logFile)}`)
        return findProcess(runDir, name)
      },
      60_000,
      () => lastLines(logFile),
    )
  } finally {
    closeSync(log)
  }
}

/** SIGKILL, then waits until it is gone. Gone already: nothing. Never a process that merely has the same pid. */
export async function endProcess(process: RecordedProcess): Promise<void> {
  if (!isRunning(process)) return
  try {
    globalThis.process.kill(process.pid, 'SIGKILL')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
  await waitFor(`process ${process.pid} to end`, () => !isRunning(process), 60_000)
}

/** Processes that this lab started and that still run, recorded or not: found by the mark in their environment. */
export function processesOfLab(labDir: string): RecordedProcess[] {
  const mark = `${ownerVariable}=${labDir}`
  return allPids().flatMap((pid) => {
    const stat = readStat(pid)
    if (stat === undefined || stat.state === 'Z') return []
    try {
      const marked = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(mark)
      return marked ? [{ pid, startTime: stat.startTime }] : []
    } catch {
      return []
    }
  })
}

export function lastLines(file: string, count = 12): string {
  try {
    return readFileSync(file, 'utf8').trim().split('\n').slice(-count).join('\n')
  } catch {
    return ''
  }
}
