import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { systemCode } from '#main/transports/local/file-errors.ts'

const answerSchema = z.looseObject({
  QMP: z.unknown().optional(),
  return: z.unknown().optional(),
  error: z.object({ desc: z.string() }).optional(),
})

/** A conversation of JSON lines with QEMU's monitor. */
export interface QemuSocket {
  /** What it answers. Throws when it says no, hangs up, or the signal ends the wait. */
  execute(command: string, signal: AbortSignal): Promise<unknown>
  /** Resolves when QEMU has closed it, which it does when it ends. */
  readonly closed: Promise<void>
  close(): void
}

/** undefined: nobody listens there. QEMU serves one conversation at a time; another waits until the signal ends it. */
export async function openMonitor(path: string, signal: AbortSignal): Promise<QemuSocket | undefined> {
  const opened = await openSocket(path, signal)
  if (opened === undefined) return undefined
  const { socket, next, ...rest } = opened
  try {
    await next(signal)
    await rest.execute('qmp_capabilities', signal)
    return { ...rest, close: () => socket.destroy() }
  } catch (error) {
    socket.destroy()
    throw error
  }
}

async function openSocket(path: string, signal: AbortSignal) {
  const socket = connect(path)
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  try {
    await once(socket, 'connect', { signal })
  } catch (error) {
    socket.destroy()
    if (systemCode(error) === 'ECONNREFUSED' || systemCode(error) === 'ENOENT') return undefined
    throw error
  }
  // a lost connection is seen by who waits for a line
  socket.on('error', () => undefined)
  const next = lineReader(socket)
  const execute = async (command: string, until: AbortSignal): Promise<unknown> => {
    socket.write(`${JSON.stringify({ execute: command })}\n`)
    for (;;) {
      const answer = answerSchema.parse(await next(until))
      if (answer.error !== undefined) throw new Error(`${command}: ${answer.error.desc}`)
      if ('return' in answer) return answer.return
    }
  }
  return { socket, closed, next, execute }
}

/** Lines one by one, each parsed; throws when there is no further one. */
function lineReader(socket: Socket): (signal: AbortSignal) => Promise<unknown> {
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  return async (signal) => {
    const aborted = once(signal, 'abort').then(() => Promise.reject(signal.reason))
    aborted.catch(() => undefined)
    signal.throwIfAborted()
    const line = await Promise.race([lines.next(), aborted])
    if (line.done === true) throw new Error('QEMU has hung up')
    return JSON.parse(line.value)
  }
}
