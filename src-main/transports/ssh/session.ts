import type { SshConnection } from '#shared/domain/connection.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatDuration } from '#shared/units/duration.ts'
import type { ShellScript } from '../shell/script.ts'
import type { RunOptions, RunResult } from '../shell/shell.ts'
import { type Outcome, runCommand } from './channel-run.ts'
import { commandLine } from './command-line.ts'
import type { SshSession } from './contract.ts'
import { cancelledError, lostError, withEffect } from './errors.ts'
import { Link, type LinkContext } from './link.ts'
import { openExec } from './open-exec.ts'
import { findRoute, type RouteContext } from './route.ts'
import { SharedTask } from './shared-task.ts'

const defaultTimeoutMs = 60_000
const maxStderrFact = 4000

const trimmed = (text: string): string => {
  const end = text.trimEnd()
  return end.length <= maxStderrFact ? end : `${end.slice(0, maxStderrFact)} [...]`
}

/** {@link SshSession} over links that it opens when they are needed. */
export class Session implements SshSession {
  readonly name: string
  readonly connection: SshConnection
  readonly #context: LinkContext & RouteContext
  readonly #closing = new AbortController()
  #link: Link | undefined
  #opening: SharedTask<Link> | undefined
  #running = 0
  #isRetired = false

  constructor(name: string, connection: SshConnection, context: LinkContext & RouteContext) {
    this.name = name
    this.connection = connection
    this.#context = context
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  async connect(signal: AbortSignal): Promise<void> {
    this.#throwIfClosed()
    await this.#openLink(signal)
  }

  async run(script: ShellScript, options: RunOptions): Promise<RunResult> {
    this.#throwIfClosed()
    const { signal, tethered = false, stdin, timeoutMs = defaultTimeoutMs } = options
    if (tethered && stdin !== undefined)
      throw new AppError('bad-request', 'A tethered script cannot have standard input', { object: this.name })
    const command = commandLine(script, { sudo: this.connection.sudo === true, tethered })
    this.#running += 1
    try {
      // A link can be found dead before the command has left; then one other is tried. Never after.
      for (let attempt = 0; ; attempt += 1) {
        const link = await this.#openLink(signal)
        const outcome = await this.#runOn(link, command, { ...options, timeoutMs })
        if (outcome !== 'not sent') return this.#answer(outcome, options)
        if (attempt > 0) throw link.lost ?? lostError(this.name, undefined)
      }
    } finally {
      this.#running -= 1
      if (this.#isRetired && this.#running === 0) await this.close()
    }
  }

  async close(): Promise<void> {
    const reason = new AppError('cancelled', 'Gantry closed this connection', { object: this.name })
    this.#closing.abort(reason)
    this.#opening?.abort(reason)
    const link = this.#link
    this.#link = undefined
    await link?.close()
  }

  /** Closes when nothing runs any more. */
  async retire(): Promise<void> {
    this.#isRetired = true
    if (this.#running === 0) await this.close()
  }

  #throwIfClosed(): void {
    if (this.isClosed) throw this.#closing.signal.reason
  }

  async #openLink(signal: AbortSignal): Promise<Link> {
    if (signal.aborted) throw cancelledError(this.name, 'none', signal.reason)
    if (this.#link !== undefined && this.#link.lost === undefined) return this.#link
    if (this.#opening === undefined || this.#opening.isAborted) {
      const opening = new SharedTask(async (taskSignal) => await this.#open(taskSignal))
      this.#opening = opening
    }
    const opening = this.#opening
    try {
      return await opening.join(signal)
    } catch (error) {
      this.#throwIfClosed()
      if (signal.aborted) throw cancelledError(this.name, 'none', signal.reason)
      throw error
    } finally {
      if (this.#opening === opening && opening.isSettled) this.#opening = undefined
    }
  }

  async #open(signal: AbortSignal): Promise<Link> {
    const hops = await findRoute(this.connection, this.#context)
    const link = await Link.open(hops, this.#context, this.name, signal)
    if (signal.aborted) {
      await link.close()
      throw cancelledError(this.name, 'none', signal.reason)
    }
    this.#link = link
    return link
  }

  async #runOn(
    link: Link,
    command: string,
    options: RunOptions & { readonly timeoutMs: number },
  ): Promise<Outcome | 'not sent'> {
    const { signal, timeoutMs } = options
    const interrupt = new AbortController()
    let isSent = false
    const stop = (code: 'timeout' | 'cancelled', what: string, cause?: unknown): void => {
      const effect = isSent ? 'unknown' : 'none'
      interrupt.abort(new AppError(code, what, { object: this.name, effect, cause }))
    }
    const onAbort = (): void => stop('cancelled', 'The command was cancelled', signal.reason)
    const onClosing = (): void => stop('cancelled', 'Gantry closed this connection')
    const timer = setTimeout(
      () => stop('timeout', `The command did not end within ${formatDuration(timeoutMs)}`),
      timeoutMs,
    )
    signal.addEventListener('abort', onAbort)
    this.#closing.signal.addEventListener('abort', onClosing)
    try {
      if (signal.aborted) onAbort()
      for (;;) {
        const release = await link.slots.take(interrupt.signal)
        isSent = true
        const opened = await openExec(link, command, this.name, interrupt.signal, release)
        if (opened.state === 'open') {
          const outcome = await runCommand(opened.command, {
            ...options,
            object: this.name,
            signal: interrupt.signal,
          })
          if (link.lost !== undefined) throw withEffect(link.lost, 'unknown')
          return outcome
        }
        isSent = false
        if (opened.state === 'lost') return 'not sent'
        if (!opened.mayRetry)
          throw new AppError('device-rejected', 'The device opens no channel for commands', {
            object: this.name,
          })
      }
    } catch (error) {
      if (error === link.lost) return 'not sent'
      throw error
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      this.#closing.signal.removeEventListener('abort', onClosing)
    }
  }

  #answer(outcome: Outcome, { expectExit = [0] }: RunOptions): RunResult {
    const { exitCode, exitSignal, stdout, stderr } = outcome
    const object = this.name
    const words = trimmed(stderr)
    const facts = words === '' ? {} : { stderr: words }
    if (exitSignal !== undefined)
      throw new AppError('device-rejected', `The command was ended by ${exitSignal}`, {
        object,
        effect: 'unknown',
        facts: { signal: exitSignal, ...facts },
      })
    if (exitCode === undefined)
      throw new AppError('unreachable', 'The device closed the command without telling how it ended', {
        object,
        effect: 'unknown',
        facts,
      })
    if (expectExit.includes(exitCode)) return { exitCode, stdout, stderr }
    if (this.connection.sudo === true && exitCode === 1 && /^sudo: /m.test(stderr))
      throw new AppError('auth-failed', 'sudo does not let this user run commands without a password', {
        object,
        facts,
        advice: 'Allow it in the sudoers file of the device (NOPASSWD), or connect as root.',
      })
    throw new AppError('device-rejected', `The command ended with exit code ${exitCode}`, {
      object,
      // How far the script got before it failed is known to whoever wrote it, not here.
      effect: 'unknown',
      facts: { exitCode: String(exitCode), ...facts },
    })
  }
}
