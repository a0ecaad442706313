import type { ClientChannel } from 'ssh2'
import { AppError } from '#shared/errors/app-error.ts'
import type { ChannelKind } from './open-channel.ts'

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

/** A command to start on a channel of its own. */
export const commandChannel = (command: string): ChannelKind<StartedCommand> => ({
  effect: 'unknown',
  open: (client, settle) =>
    client.exec(command, (error, channel) => settle(error ?? new StartedCommand(channel))),
  onClose: ({ channel }, done) => channel.once('close', done),
  drop({ channel }) {
    channel.resume().stderr.resume()
    channel.close()
  },
  refusal: (reason, object) =>
    new AppError('device-rejected', 'The device refuses to run commands over SSH', {
      object,
      facts: { reason: reason.message },
      advice: 'Check that this user may run commands (login shell, ForceCommand).',
      cause: reason,
    }),
})
