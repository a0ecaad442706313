import type { RemoteFiles } from './files.ts'
import type { ShellScript } from './script.ts'

export interface RunOptions {
  readonly signal: AbortSignal
  /** Default 60,000. The remote work is ended when the time is over. */
  readonly timeoutMs?: number
  /** Bytes for standard input; read with back-pressure. Default: empty. */
  readonly stdin?: Uint8Array | AsyncIterable<Uint8Array>
  /** Called with the standard output as it comes, instead of collecting it; awaited (back-pressure). */
  readonly onStdout?: (chunk: Uint8Array) => void | Promise<void>
  /** Exit codes that are an answer and not an error; default [0]. Any other one throws device-rejected. */
  readonly expectExit?: readonly number[]
  /** The most bytes of standard output that are collected; default 16 MiB; more throws device-rejected. */
  readonly maxOutputBytes?: number
  /**
   * The remote process group is ended when the connection or the call ends (for long work: copies, waits).
   * Not with `stdin`. Without it a script that was cut off runs to its end on the device.
   */
  readonly tethered?: boolean
}

export interface RunResult {
  readonly exitCode: number
  readonly stdout: Uint8Array
  readonly stderr: string
}

/**
 * Runs POSIX shell scripts on one device. Errors: unreachable (with `effect: unknown` once the script was sent),
 * auth-failed, timeout, cancelled, device-rejected (with exitCode, stderr in `facts`). Scripts run under `/bin/sh`
 * with LC_ALL=C whatever the login shell is. A shell does not retry a script: only its caller knows if that is safe.
 */
export interface Shell {
  /** For messages: "array lab-array". */
  readonly name: string
  run(script: ShellScript, options: RunOptions): Promise<RunResult>
  /** Absent: files are reached through scripts only. */
  readonly files?: RemoteFiles
}

const decoder = new TextDecoder()
/** Standard output as text; invalid UTF-8 is replaced. */
export const stdoutText = (result: RunResult): string => decoder.decode(result.stdout)
