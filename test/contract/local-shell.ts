import { spawn } from 'node:child_process'
import { AppError } from '#shared/errors/app-error.ts'
import type { RunOptions, RunResult, Shell } from '#main/transports/shell/shell.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'

/** A Shell on this very computer: the same promises as over SSH, without a server. For tests of drivers. */
export function createLocalShell(name: string): Shell {
  return { name, run: (script, options) => runLocally(name, '/bin/sh', ['-c', script], script, options) }
}

/**
 * Runs a program as a Shell runs a script. When the call ends early a tethered script's process group is ended;
 * any other one is left to run to its end, as it would be on a device whose connection was cut.
 */
export async function runLocally(
  name: string,
  program: string,
  parameters: readonly string[],
  script: ShellScript,
  options: RunOptions,
): Promise<RunResult> {
  const limit = options.maxOutputBytes ?? 16 * 1024 * 1024
  if (options.signal.aborted) throw new AppError('cancelled', 'The operation was cancelled', { object: name })
  const child = spawn(program, parameters, { env: { ...process.env, LC_ALL: 'C' }, detached: true })
  const exited = new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? (signal === null ? 255 : 128)))
  })
  let early: AppError | undefined
  const ended = Promise.withResolvers<never>()
  const end = (error: AppError): void => {
    if (early !== undefined) return
    early = error
    if (options.tethered === true && child.pid !== undefined)
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch {
        // it has ended by itself
      }
    child.stdin.destroy()
    ended.reject(error)
  }
  const onAbort = (): void =>
    end(new AppError('cancelled', 'The operation was cancelled', { object: name, effect: 'unknown' }))
  options.signal.addEventListener('abort', onAbort)
  const timeoutMs = options.timeoutMs ?? 60_000
  const timer = setTimeout(() => {
    end(
      new AppError('timeout', `No answer within ${timeoutMs / 1000} s`, { object: name, effect: 'unknown' }),
    )
  }, timeoutMs)

  const stdout: Uint8Array[] = []
  let stdoutBytes = 0
  const read = async (): Promise<void> => {
    for await (const chunk of child.stdout as AsyncIterable<Uint8Array>) {
      if (early !== undefined) continue
      if (options.onStdout !== undefined) await options.onStdout(chunk)
      else {
        stdoutBytes += chunk.length
        if (stdoutBytes > limit)
          end(new AppError('device-rejected', 'The output is too long', { object: name }))
        else stdout.push(chunk)
      }
    }
  }
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  child.stdin.on('error', () => undefined)
  const inputClosed = new Promise<void>((resolve) => child.stdin.once('close', resolve))
  const write = async (): Promise<void> => {
    const { stdin } = options
    if (stdin instanceof Uint8Array) child.stdin.write(stdin)
    else if (stdin !== undefined)
      for await (const chunk of stdin) {
        if (child.stdin.destroyed) return
        if (child.stdin.write(chunk)) continue
        const drained = new Promise<void>((resolve) => child.stdin.once('drain', resolve))
        await Promise.race([drained, inputClosed])
      }
    child.stdin.end()
  }
  try {
    const work = Promise.all([exited, read(), write()])
    work.catch(() => undefined)
    const [exitCode] = await Promise.race([work, ended.promise])
    if (!(options.expectExit ?? [0]).includes(exitCode))
      throw new AppError('device-rejected', `The command ended with exit code ${exitCode}`, {
        object: name,
        facts: { exitCode: String(exitCode), stderr: stderr.trim() },
      })
    return { exitCode, stdout: Buffer.concat(stdout), stderr }
  } catch (error) {
    child.stdin.destroy()
    throw error
  } finally {
    clearTimeout(timer)
    options.signal.removeEventListener('abort', onAbort)
  }
}
