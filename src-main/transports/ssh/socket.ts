import { spawn } from 'node:child_process'
import net from 'node:net'
import { Duplex } from 'node:stream'
import type { Client } from 'ssh2'
import { AppError } from '#shared/errors/app-error.ts'
import { cancelledError, connectError } from './errors.ts'
import type { Hop } from './route.ts'

const placeOf = (hop: Hop): string => `${hop.host} port ${hop.port}`

/** A TCP connection to the first server of a route. Throws unreachable, cancelled. */
export async function openTcp(hop: Hop, object: string, signal: AbortSignal): Promise<Duplex> {
  signal.throwIfAborted()
  const socket = net.connect({ host: hop.host, port: hop.port, noDelay: true, keepAlive: true })
  return await new Promise<Duplex>((resolve, reject) => {
    const timer = setTimeout(
      () => fail(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' })),
      hop.connectTimeoutMs,
    )
    const onAbort = (): void => end(() => reject(cancelledError(object, 'none', signal.reason)))
    const end = (settle: () => void): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      socket.removeListener('error', fail)
      settle()
      if (socket.connecting) socket.destroy()
    }
    const fail = (error: Error): void => end(() => reject(connectError(error, object, placeOf(hop))))
    signal.addEventListener('abort', onAbort)
    socket.once('error', fail).once('connect', () => end(() => resolve(socket)))
  })
}

/** The way to the next server through the one before it. Throws unreachable, cancelled. */
export async function openForward(
  before: Client,
  hop: Hop,
  object: string,
  signal: AbortSignal,
): Promise<Duplex> {
  signal.throwIfAborted()
  return await new Promise<Duplex>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(connectError({ code: 'ETIMEDOUT' }, object, `${placeOf(hop)} (behind the jump host)`)),
      hop.connectTimeoutMs,
    )
    const onAbort = (): void => reject(cancelledError(object, 'none', signal.reason))
    signal.addEventListener('abort', onAbort)
    before.forwardOut('127.0.0.1', 0, hop.host, hop.port, (error, stream) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      if (error === undefined) resolve(stream)
      else
        reject(
          new AppError('unreachable', `The jump host cannot reach ${placeOf(hop)}`, {
            object,
            facts: { reason: error.message },
            advice: 'Check the address as the jump host sees it, and that it allows TCP forwarding.',
            cause: error,
          }),
        )
    })
  })
}

/** The way through a ProxyCommand of the user's SSH configuration: its standard streams. */
export function openProxyCommand(hop: Hop, command: string, object: string): Duplex {
  if (process.platform === 'win32')
    throw new AppError('not-supported', 'ProxyCommand is not supported on Windows', {
      object,
      advice: 'Use ProxyJump.',
    })
  const child = spawn('/bin/sh', ['-c', `exec ${command}`], { stdio: ['pipe', 'pipe', 'ignore'] })
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin })
  child.once('error', (error) => stream.destroy(connectError(error, object, placeOf(hop))))
  stream.once('close', () => child.kill())
  return stream
}
