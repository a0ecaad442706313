import type { ClientChannel } from 'ssh2'
import { AppError } from '#shared/errors/app-error.ts'
import { withEffect } from './errors.ts'
import type { Link } from './link.ts'

/**
 * A command that was started. Made in the very callback that opens its channel: a short command's exit status and
 * close may come in the same packet, and an event without a listener is lost.
 */
export class StartedCommand {
  readonly channel: ClientChannel
  /** Both streams have come to their end and the channel is closed. */
  readonly closed: Promise<void>
  #isClosed = false
  #exitCode: number | undefined
  #exitSignal: string | undefined

  constructor(channel: ClientChannel) {
    this.channel = channel
    const closed = async (stream: NodeJS.EventEmitter): Promise<void> => {
      await new Promise<void>((resolve) => {
        stream.once('close', () => resolve())
      })
    }
    this.closed = Promise.all([closed(channel), closed(channel.stderr)]).then(() => {
      this.#isClosed = true
    })
    channel.on('exit', (code: number | null, signal?: string) => {
      if (code === null) this.#exitSignal = signal ?? 'a signal'
      else this.#exitCode = code
    })
  }

  /** ssh2 goes on taking bytes for a channel that was lost with its connection: ask here before writing. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  get exitCode(): number | undefined {
    return this.#exitCode
  }

  get exitSignal(): string | undefined {
    return this.#exitSignal
  }
}

export type OpenOutcome =
  | { readonly state: 'open'; readonly command: StartedCommand }
  /** The device allows no more channels than are open now; nothing was sent. `mayRetry`: some of them are ours. */
  | { readonly state: 'full'; readonly mayRetry: boolean }
  /** The connection was lost before the command was sent. */
  | { readonly state: 'lost' }

type ExecResult = StartedCommand | (Error & { readonly reason?: unknown })

/**
 * Opens a channel and starts a command on it. Throws device-rejected (effect none), unreachable (effect unknown),
 * and the signal's reason; a command that starts after the signal is closed at once.
 */
export async function openExec(
  link: Link,
  command: string,
  object: string,
  signal: AbortSignal,
  release: () => void,
): Promise<OpenOutcome> {
  let mayRetry = false
  const others = link.slots.taken - 1
  const result = await new Promise<ExecResult>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const settle = (value: ExecResult): void => {
      signal.removeEventListener('abort', onAbort)
      if (value instanceof Error) {
        if (typeof value.reason === 'number') mayRetry = link.slots.lowerLimit(others)
        release()
      } else {
        value.channel.once('close', release)
        if (signal.aborted) {
          value.channel.resume().stderr.resume()
          value.channel.close()
        }
      }
      resolve(value)
    }
    try {
      link.client.exec(command, (error, channel) => settle(error ?? new StartedCommand(channel)))
    } catch (error) {
      settle(error instanceof Error ? error : new Error(String(error)))
    }
  })
  if (!(result instanceof Error)) return { state: 'open', command: result }
  // ssh2's own words: the first two come before the command has left, "Unable to exec" after.
  if (result.message === 'Not connected' || result.message === 'No response from server')
    return { state: 'lost' }
  if (typeof result.reason === 'number') return { state: 'full', mayRetry }
  if (link.lost !== undefined) throw withEffect(link.lost, 'unknown')
  throw new AppError('device-rejected', 'The device refuses to run commands over SSH', {
    object,
    facts: { reason: result.message },
    advice: 'Check that this user may run commands (login shell, ForceCommand).',
    cause: result,
  })
}
