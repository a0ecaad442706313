import { spawn } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'

/** The only environment that programs of the lab see: nothing of the developer's shell leaks into it. */
export const labEnvironment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
  HOME: '/nonexistent',
  TERM: 'dumb',
}

export interface ExecOptions {
  readonly input?: string
  readonly timeoutMs?: number
  readonly env?: Readonly<Record<string, string>>
  /** Exit codes that do not throw; default [0]. */
  readonly expectExit?: readonly number[]
}

export interface ExecResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** For messages: a script given as an argument would bury what went wrong. */
const shown = (command: string, args: readonly string[]): string => {
  const text = [command, ...args].join(' ').replaceAll(/\s+/g, ' ')
  return text.length > 200 ? `${text.slice(0, 200)}...` : text
}

/** Runs a program to its end. Throws with its own words when it exits otherwise than expected, or lasts too long. */
export async function exec(
  command: string,
  args: readonly string[],
  options: ExecOptions = {},
): Promise<ExecResult> {
  const { input = '', timeoutMs = 120_000, env = {}, expectExit = [0] } = options
  const signal = AbortSignal.timeout(timeoutMs)
  const child = spawn(command, args, { env: { ...labEnvironment, ...env }, signal, killSignal: 'SIGKILL' })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  // A program that does not read its input closes the pipe: its exit code tells the story, not EPIPE.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  child.once('error', (error) => {
    reject(
      signal.aborted ? new Error(`${shown(command, args)} did not end within ${timeoutMs / 1000} s`) : error,
    )
  })
  child.once('close', (code) => resolve(code ?? -1))
  const exitCode = await promise
  const result = {
    exitCode,
    stdout: Buffer.concat(stdout).toString(),
    stderr: Buffer.concat(stderr).toString(),
  }
  if (!expectExit.includes(exitCode))
    throw new Error(
      `${shown(command, args)} ended with ${exitCode}: ${(result.stderr || result.stdout).trim().slice(-2000)}`,
    )
  return result
}

/**
 * Asks until the answer is neither undefined nor false. Throws after `timeoutMs` with `what` and, where `explain`
 * is given, its text (the last lines of a log, say).
 */
export async function waitFor<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs: number,
  explain: () => string | Promise<string> = () => '',
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > deadline) {
      const why = await explain()
      throw new Error(`Waited ${timeoutMs / 1000} s for ${what}${why === '' ? '' : `:\n${why}`}`)
    }
    await pause(20)
  }
}
