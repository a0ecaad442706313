import type { Duplex } from 'node:stream'
import ssh2 from 'ssh2'
import type { Client, ConnectConfig } from 'ssh2'
import { AppError } from '#shared/errors/app-error.ts'
import { probeCapabilities, selectAlgorithms } from './algorithms.ts'
import { Authenticator } from './auth.ts'
import { cancelledError, handshakeError, lostError } from './errors.ts'
import type { KnownKeys } from './host-keys.ts'
import type { Hop } from './route.ts'
import type { SecretMemory } from './secrets.ts'

export interface LoginOptions {
  readonly hop: Hop
  readonly stream: Duplex
  readonly keys: KnownKeys
  readonly homeDir: string
  readonly secrets: SecretMemory
  /** For messages: the session's name. */
  readonly object: string
  readonly signal: AbortSignal
  readonly keepAlive: KeepAlive
}

/** Loss is assumed after `count` questions without an answer, `intervalMs` apart. */
export interface KeepAlive {
  readonly intervalMs: number
  readonly count: number
}

/** The device has this long for each step of handshake and login; a question to the user stops the clock. */
const stepTimeoutMs = 30_000
const disconnectProtocolError = 2

let capabilities: ReturnType<typeof probeCapabilities> | undefined

type Basics = Pick<LoginOptions, 'hop' | 'stream' | 'keys' | 'keepAlive'>

function config(options: Basics): ConnectConfig {
  const { hop, stream, keys, keepAlive } = options
  capabilities ??= probeCapabilities()
  return {
    sock: stream,
    username: hop.user,
    algorithms: selectAlgorithms(capabilities, keys.types, hop.algorithms),
    readyTimeout: 0,
    keepaliveInterval: keepAlive.intervalMs,
    keepaliveCountMax: keepAlive.count,
  }
}

/** Restarted by each sign of life; `pause` while a person is thinking. */
class Watchdog {
  readonly #onTimeout: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(onTimeout: () => void) {
    this.#onTimeout = onTimeout
    this.restart()
  }

  restart(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#onTimeout, stepTimeoutMs)
  }

  pause(): void {
    clearTimeout(this.#timer)
  }
}

/**
 * Sets up SSH on a stream and logs in. The host key is judged before anything that proves who we are is sent.
 * Throws auth-failed, unreachable, not-supported, cancelled; the stream is closed then.
 */
export async function logIn(options: LoginOptions): Promise<Client> {
  const { hop, keys, object, signal, stream, homeDir, secrets } = options
  const place = `${hop.host} port ${hop.port}`
  const client = new ssh2.Client()
  let isEncrypted = false
  let refusal: AppError | undefined
  try {
    return await new Promise<Client>((resolve, reject) => {
      const watchdog = new Watchdog(() =>
        reject(
          new AppError('unreachable', `${place} stopped answering while the connection was set up`, {
            object,
          }),
        ),
      )
      const authenticator = new Authenticator({
        hop,
        homeDir,
        secrets,
        signal,
        onQuestion: (isOpen) => (isOpen ? watchdog.pause() : watchdog.restart()),
      })
      const fail = (error: unknown): void => {
        const level = error instanceof Error && 'level' in error ? error.level : undefined
        const code = error instanceof Error && 'code' in error ? error.code : undefined
        // A key that did not sign: the next one is tried.
        if (level === 'agent') return
        watchdog.pause()
        if (refusal !== undefined) reject(refusal)
        else if (error instanceof AppError) reject(error)
        else if (!isEncrypted) reject(handshakeError(error, object, place))
        else if (level === 'client-authentication' || code === disconnectProtocolError)
          reject(authenticator.refusal(object, error))
        else reject(lostError(object, error))
      }
      const onAbort = (): void => fail(cancelledError(object, 'none', signal.reason))
      signal.addEventListener('abort', onAbort, { once: true })
      client
        .on('error', fail)
        .on('close', () => fail(new Error('the other side closed the connection')))
        .on('handshake', () => {
          isEncrypted = true
          watchdog.restart()
        })
        .on('change password', () =>
          fail(
            new AppError('auth-failed', `${hop.label} demands a new password`, {
              object,
              advice: 'Log in there by hand and set one.',
            }),
          ),
        )
        .on('ready', () => {
          watchdog.pause()
          signal.removeEventListener('abort', onAbort)
          authenticator.succeeded()
          resolve(client)
        })
      const handler = authenticator.handler()
      client.connect({
        ...config(options),
        authHandler: (left, isPartial, next) => {
          watchdog.restart()
          handler(left, isPartial, next)
        },
        hostVerifier: (key: Buffer): boolean => {
          refusal = keys.refusal(key, object)
          return refusal === undefined
        },
      })
      if (signal.aborted) onAbort()
    })
  } catch (error) {
    client.on('error', () => undefined)
    client.end()
    stream.destroy()
    throw error
  }
}

/** The key that a server shows, proven to be its own by the handshake; nothing about the user is sent. */
export async function readHostKey(
  options: Basics & Pick<LoginOptions, 'object' | 'signal'>,
): Promise<Buffer> {
  const { hop, object, signal, stream } = options
  const place = `${hop.host} port ${hop.port}`
  const client = new ssh2.Client()
  let shown: Buffer | undefined
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      const watchdog = new Watchdog(() =>
        reject(handshakeError(new Error('no answer in time'), object, place)),
      )
      const end = (settle: () => void): void => {
        watchdog.pause()
        signal.removeEventListener('abort', onAbort)
        settle()
      }
      const fail = (error: unknown): void => end(() => reject(handshakeError(error, object, place)))
      const onAbort = (): void => end(() => reject(cancelledError(object, 'none', signal.reason)))
      signal.addEventListener('abort', onAbort, { once: true })
      client
        .on('error', fail)
        .on('close', () => fail(new Error('the other side closed the connection')))
        .on('handshake', () => {
          const key = shown
          if (key !== undefined) end(() => resolve(key))
        })
      client.connect({
        ...config(options),
        authHandler: () => undefined,
        hostVerifier: (key: Buffer): boolean => {
          shown = Buffer.from(key)
          return true
        },
      })
      if (signal.aborted) onAbort()
    })
  } finally {
    client.on('error', () => undefined)
    client.end()
    stream.destroy()
  }
}
