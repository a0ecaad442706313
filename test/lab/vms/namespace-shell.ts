import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { AppError } from '#shared/errors/app-error.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import type { RunOptions, RunResult, Shell } from '#main/transports/shell/shell.ts'

/** A Shell inside the mount and process namespaces of a process of this machine; as strict as the real one. */
export function createNamespaceShell(name: string, pid: number): Shell {
  return { name, run: (script, options) => runInNamespace(name, pid, script, options) }
}

async function runInNamespace(
  name: string,
  pid: number,
  script: ShellScript,
  options: RunOptions,
): Promise<RunResult> {
  options.signal.throwIfAborted()
  const child = spawn('nsenter', ['-t', String(pid), '-m', '-p', '--', '/bin/sh', '-c', script], {
    detached: true,
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', HOME: '/root' },
  })
  let ended: 'timeout' | 'cancelled' | 'too much output' | undefined
  const end = (why: NonNullable<typeof ended>): void => {
    ended ??= why
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
  }
  const cancel = (): void => end('cancelled')
  const timer = setTimeout(() => end('timeout'), options.timeoutMs ?? 60_000)
  options.signal.addEventListener('abort', cancel, { once: true })

  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  let stdoutBytes = 0
  child.stdout.on('data', (chunk: Buffer) => {
    stdoutBytes += chunk.length
    if (stdoutBytes > (options.maxOutputBytes ?? 16 * 1024 * 1024)) end('too much output')
    else stdout.push(chunk)
  })
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  child.stdin.on('error', () => {})
  child.stdin.end()
  await once(child, 'close')
  clearTimeout(timer)
  options.signal.removeEventListener('abort', cancel)

  const exitCode = child.exitCode ?? -1
  const facts = { exitCode: String(exitCode), stderr: Buffer.concat(stderr).toString() }
  if (ended === 'cancelled')
    throw new AppError('cancelled', 'The command was cancelled', { object: name, effect: 'unknown' })
  if (ended === 'timeout')
    throw new AppError('timeout', 'The command took too long', { object: name, effect: 'unknown' })
  if (ended !== undefined || !(options.expectExit ?? [0]).includes(exitCode))
    throw new AppError('device-rejected', `The command failed with exit code ${exitCode}`, {
      object: name,
      facts,
    })
  return { exitCode, stdout: new Uint8Array(Buffer.concat(stdout)), stderr: facts.stderr }
}
