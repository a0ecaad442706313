import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { AppError } from '#shared/errors/app-error.ts'
import type { RunOptions, RunResult, Shell } from '#main/transports/shell/shell.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'

const defaultTimeoutMs = 60_000
const defaultMaxOutputBytes = 16 * 1024 * 1024

/** A Shell on this computer, for tests of drivers that do not need a network in between. */
export function createLocalShell(name: string): Shell {
  return { name, run }
}

async function run(script: ShellScript, options: RunOptions): Promise<RunResult> {
  if (options.signal.aborted) throw new AppError('cancelled', 'The operation was cancelled')
  const child = spawn('/bin/sh', ['-c', script], { detached: true, env: { ...process.env, LC_ALL: 'C' } })
  const exit = once(child, 'close') as Promise<[number | null]>
  const cut = cutOff(child, options)
  try {
    const [stdout, stderr] = await Promise.race([
      Promise.all([readStdout(child, options), readText(child), feed(child, options.stdin), exit]),
      cut.failure,
    ])
    const exitCode = child.exitCode ?? 255
    if (!(options.expectExit ?? [0]).includes(exitCode))
      throw new AppError('device-rejected', `The command ended with ${exitCode}`, {
        facts: { exitCode: String(exitCode), stderr: stderr.trim() },
      })
    return { exitCode, stdout, stderr }
  } finally {
    cut.dispose()
  }
}

/** A promise that only fails: at the abort or the end of the time. Ends the process group where a Shell would. */
function cutOff(child: ChildProcessWithoutNullStreams, options: RunOptions) {
  const { promise: failure, reject } = Promise.withResolvers<never>()
  failure.catch(() => undefined)
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs
  const onAbort = (): void => {
    if (options.tethered === true) endGroup(child)
    reject(new AppError('cancelled', 'The operation was cancelled', { effect: 'unknown' }))
  }
  const timer = setTimeout(() => {
    endGroup(child)
    reject(new AppError('timeout', `No answer within ${timeoutMs} ms`, { effect: 'unknown' }))
  }, timeoutMs)
  options.signal.addEventListener('abort', onAbort)
  const dispose = (): void => {
    clearTimeout(timer)
    options.signal.removeEventListener('abort', onAbort)
  }
  return { failure, dispose }
}

function endGroup(child: ChildProcessWithoutNullStreams): void {
  if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGTERM')
}

async function readStdout(child: ChildProcessWithoutNullStreams, options: RunOptions): Promise<Uint8Array> {
  const limit = options.maxOutputBytes ?? defaultMaxOutputBytes
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    if (options.onStdout !== undefined) {
      await options.onStdout(chunk)
      continue
    }
    bytes += chunk.length
    if (bytes > limit) throw new AppError('device-rejected', `More than ${limit} bytes of output`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

async function readText(child: ChildProcessWithoutNullStreams): Promise<string> {
  let text = ''
  for await (const chunk of child.stderr.setEncoding('utf8') as AsyncIterable<string>) text += chunk
  return text
}

async function feed(child: ChildProcessWithoutNullStreams, stdin: RunOptions['stdin']): Promise<void> {
  const source = stdin === undefined || stdin instanceof Uint8Array ? [stdin ?? new Uint8Array()] : stdin
  try {
    await pipeline(Readable.from(source), child.stdin)
  } catch (error) {
    // A script that ends without reading all of its input is no failure of the call.
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'EPIPE') throw error
  }
}
