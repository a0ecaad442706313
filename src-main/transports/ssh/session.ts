import type { SshConnection } from '#shared/domain/connection.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatDuration } from '#shared/units/duration.ts'
import type { ShellScript } from '../shell/script.ts'
import type { RemoteFiles } from '../shell/files.ts'
import type { RunOptions, RunResult } from '../shell/shell.ts'
import { type Outcome, runCommand } from './channel-run.ts'
import { commandLine } from './command-line.ts'
import type { SshSession } from './contract.ts'
import { cancelledError, lostError, withEffect } from './errors.ts'
import { Link, type LinkContext } from './link.ts'
import { openChannel, type ChannelKind } from './open-channel.ts'
import { findRoute, type RouteContext } from './route.ts'
import { SftpFiles } from './sftp-files.ts'
import { SharedTask } from '../shared-task.ts'
import { commandChannel } from './started-command.ts'

const defaultTimeoutMs = 60_000
const maxStderrFact = 4000

const trimmed = (text: string): string => {
  const end = text.trimEnd()
  return end.length <= maxStderrFact ? end : `${end.slice(0, maxStderrFact)} [...]`
}

interface ChannelLimits {
  readonly signal: AbortSignal
  readonly timeoutMs: number
  /** For messages: "command". */
  readonly what: string
}

export interface ChannelContext {
  /** Aborted when the work is to end, with the AppError to end with as its reason. */
  readonly signal: AbortSignal
  /** From here on the work has time limits of its own. */
  readonly noTimeout: () => void
  /** Why the connection is gone, once it is. */
  readonly lost: () => AppError | undefined
}

/** {@link SshSession} over links that it opens when they are needed. */
export class Session implements SshSession {
  readonly name: string
  readonly connection: SshConnection
  /** Absent with sudo: the file service runs with the rights of the user who logs in. */
  readonly files?: RemoteFiles
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
    if (connection.sudo !== true) this.files = new SftpFiles(this)
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  async connect(signal: AbortSignal): Promise<void> {
    this.#throwIfClosed()
    await this.#openLink(signal)
  }

  async run(script: ShellScript, options: RunOptions): Promise<RunResult> {
    const { tethered = false, stdin, timeoutMs = defaultTimeoutMs } = options
    if (tethered && stdin !== undefined)
      throw new AppError('bad-request', 'A tethered script cannot have standard input', { object: this.name })
    const command = commandLine(script, { sudo: this.connection.sudo === true, tethered })
    const isPlain = !tethered && stdin === undefined
    const outcome = await this.withChannel(
      {
        ...commandChannel(command),
        ...(isPlain ? { openedAhead: (link: Link) => link.spares.start(script) } : {}),
      },
      { signal: options.signal, timeoutMs, what: 'command' },
      async (started, { signal, lost }) => {
        const ended = await runCommand(started, { ...options, object: this.name, signal })
        const loss = lost()
        if (loss !== undefined) throw withEffect(loss, 'unknown')
        return ended
      },
    )
    return this.#answer(outcome, options)
  }

  /**
   * Opens a channel, when there is room for one, and works on it until `use` has ended. A connection that is found
   * dead before the device was asked for anything is replaced once; after that nothing is ever sent again.
   */
  async withChannel<C extends object, T>(
    kind: ChannelKind<C>,
    limits: ChannelLimits,
    use: (channel: C, context: ChannelContext) => Promise<T>,
  ): Promise<T> {
    this.#throwIfClosed()
    this.#running += 1
    try {
      for (let attempt = 0; ; attempt += 1) {
        const link = await this.#openLink(limits.signal)
        const outcome = await this.#useChannel(link, kind, limits, use)
        if (outcome !== 'not sent') return outcome.value
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
    const { sudo = false, maxChannels = this.#context.maxChannels } = this.connection
    const link = await Link.open(hops, { ...this.#context, maxChannels }, { object: this.name, sudo }, signal)
    if (signal.aborted) {
      await link.close()
      throw cancelledError(this.name, 'none', signal.reason)
    }
    this.#link = link
    return link
  }

  async #useChannel<C extends object, T>(
    link: Link,
    kind: ChannelKind<C>,
    { signal, timeoutMs, what }: ChannelLimits,
    use: (channel: C, context: ChannelContext) => Promise<T>,
  ): Promise<{ readonly value: T } | 'not sent'> {
    const interrupt = new AbortController()
    let effect: AppError['effect'] = 'none'
    let isInUse = false
    const stop = (code: 'timeout' | 'cancelled', text: string, cause?: unknown): void =>
      interrupt.abort(new AppError(code, text, { object: this.name, effect, cause }))
    const onAbort = (): void => stop('cancelled', `The ${what} was cancelled`, signal.reason)
    const onClosing = (): void => stop('cancelled', 'Gantry closed this connection')
    const timer = setTimeout(
      () => stop('timeout', `The ${what} did not end within ${formatDuration(timeoutMs)}`),
      timeoutMs,
    )
    signal.addEventListener('abort', onAbort)
    this.#closing.signal.addEventListener('abort', onClosing)
    try {
      if (signal.aborted) onAbort()
      const context = {
        signal: interrupt.signal,
        noTimeout: () => clearTimeout(timer),
        lost: () => link.lost,
      }
      const ahead = kind.openedAhead?.(link)
      if (ahead !== undefined) {
        effect = kind.effect
        isInUse = true
        return { value: await use(ahead, context) }
      }
      for (;;) {
        if (link.slots.isFull) link.spares.giveWay()
        const release = await link.slots.take(interrupt.signal)
        effect = kind.effect
        const opened = await openChannel(link, kind, this.name, interrupt.signal, release)
        if (opened.state === 'open') {
          isInUse = true
          const value = await use(opened.channel, context)
          if (kind.openedAhead !== undefined) link.spares.refill()
          return { value }
        }
        effect = 'none'
        if (opened.state === 'lost') return 'not sent'
        if (!opened.mayRetry)
          throw new AppError('device-rejected', `The device opens no channel for a ${what}`, {
            object: this.name,
          })
      }
    } catch (error) {
      if (!isInUse && error === link.lost) return 'not sent'
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
