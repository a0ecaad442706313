import type { Client, SFTPWrapper } from 'ssh2'
import { AppError } from '#shared/errors/app-error.ts'
import { formatDuration } from '#shared/units/duration.ts'
import type { ChannelKind } from './open-channel.ts'
import type { ChannelContext } from './session.ts'

/** Status codes of SFTP version 3 (draft-ietf-secsh-filexfer-02, section 7). */
export const status = {
  endOfFile: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  notSupported: 8,
} as const

/** The device's answer that it will not. */
export class StatusError extends Error {
  readonly status: number
  constructor(code: number, words: string) {
    super(words)
    this.status = code
  }
}

type Done<T> = (error: Error | null | undefined, value?: T) => void

/** No answer to any request for so long: the device hangs. */
const answerTimeoutMs = 60_000

/** No answer for so long to anything that tidies up. */
const tidyTimeoutMs = 10_000

/**
 * The file service of a device on its channel. ssh2 leaves requests of a channel that has ended, or that are sent
 * afterwards, without an answer; here every request ends.
 */
export class SftpChannel {
  readonly #sftp: SFTPWrapper
  readonly #waiting = new Set<(reason: unknown) => void>()
  #stopped: { readonly reason: unknown } | undefined
  #isClosed = false
  #asked = 0
  #object = ''
  #lost: ChannelContext['lost'] = () => undefined
  #timer: NodeJS.Timeout | undefined

  constructor(sftp: SFTPWrapper) {
    this.#sftp = sftp
    sftp.on('error', (error: Error) =>
      this.#stop(this.#broken('speaks SFTP in a way that is not understood', error)),
    )
    sftp.on('close', () => {
      this.#isClosed = true
      // The connection's own end may be told a moment later.
      setImmediate(() => this.#stop(this.#lost() ?? this.#broken('closed its file service')))
    })
  }

  /** True once no request is answered any more, not even one that tidies up. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Everything ends with the context's signal. Errors are about this object. */
  bind(object: string, { signal, lost }: ChannelContext): void {
    this.#object = object
    this.#lost = lost
    const onAbort = (): void => this.#stop(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  }

  /** Sends one request. Throws StatusError, the signal's reason, unreachable, timeout, device-rejected. */
  async ask<T = void>(send: (sftp: SFTPWrapper, done: Done<T>) => void): Promise<T> {
    if (this.#stopped !== undefined) throw this.#stopped.reason
    this.#asked += 1
    this.#timer ??= setTimeout(() => this.#stop(this.#silence()), answerTimeoutMs)
    try {
      return await this.orStopped(this.#send(send))
    } finally {
      this.#asked -= 1
      if (this.#asked === 0) this.#stopTimer()
      else this.#timer?.refresh()
    }
  }

  /** As `ask`, also after the signal: on this channel it comes after everything that was sent before. */
  async tidy<T = void>(send: (sftp: SFTPWrapper, done: Done<T>) => void): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const silence = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(this.#silence()), tidyTimeoutMs)
      this.#sftp.once('close', () => reject(this.#broken('closed its file service')))
    })
    return await Promise.race([this.#send(send), silence]).finally(() => clearTimeout(timer))
  }

  /** The work's outcome, or the reason why there is no use in it any more. */
  async orStopped<T>(work: Promise<T>): Promise<T> {
    work.catch(() => undefined)
    if (this.#stopped !== undefined) throw this.#stopped.reason
    return await new Promise<T>((resolve, reject) => {
      this.#waiting.add(reject)
      work.then(resolve, reject).finally(() => this.#waiting.delete(reject))
    })
  }

  /** Ends the channel; the device closes what was open. */
  close(): void {
    this.#stopTimer()
    this.#sftp.end()
  }

  onClose(done: () => void): void {
    this.#sftp.once('close', done)
  }

  async #send<T>(send: (sftp: SFTPWrapper, done: Done<T>) => void): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      send(this.#sftp, (error, value) => {
        if (error === null || error === undefined) resolve(value as T)
        else if ('code' in error && typeof error.code === 'number')
          reject(new StatusError(error.code, error.message))
        // That its channel has ended is told to all who wait, with the reason.
        else if (error.message !== 'No response from server') reject(error)
      })
    })
  }

  #stop(reason: unknown): void {
    this.#stopped ??= { reason }
    for (const refuse of this.#waiting) refuse(this.#stopped.reason)
  }

  #stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #silence(): AppError {
    return new AppError('timeout', `The device did not answer within ${formatDuration(answerTimeoutMs)}`, {
      object: this.#object,
    })
  }

  #broken(what: string, cause?: Error): AppError {
    return new AppError('device-rejected', `The device ${what}`, {
      object: this.#object,
      facts: cause === undefined ? {} : { reason: cause.message },
      cause,
    })
  }
}

/** ssh2 keeps the channel of a refused subsystem and does not hand it out: one for each connection is enough. */
const withoutFiles = new WeakSet<Client>()

export const sftpChannel: ChannelKind<SftpChannel> = {
  effect: 'none',
  open(client, settle) {
    if (withoutFiles.has(client)) {
      settle(new Error('refused before'))
      return
    }
    client.sftp((error, sftp) => {
      if (error?.message.startsWith('Unable to start subsystem') === true) withoutFiles.add(client)
      settle(error ?? new SftpChannel(sftp))
    })
  },
  onClose: (channel, done) => channel.onClose(done),
  drop: (channel) => channel.close(),
  refusal: (reason, object) =>
    new AppError('not-supported', 'The device offers no file transfer (SFTP) over SSH', {
      object,
      facts: { reason: reason.message },
      advice: 'Switch it on there: "Subsystem sftp internal-sftp" in sshd_config.',
      cause: reason,
    }),
}
