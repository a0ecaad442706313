import type { Socket } from 'node:net'
import { AppError } from '#shared/errors/app-error.ts'
import { decodeError } from '#shared/errors/wire-error.ts'
import { findTheOne } from './daemon/become-the-one.ts'
import { formatLine, readLines } from './daemon/lines.ts'
import { answerSchema, greetingSchema, protocolVersion } from './daemon/protocol.ts'
import type { DaemonState, Greeting, Request } from './daemon/protocol.ts'
import { startDaemon } from './daemon/start.ts'
import { translateError } from './errors.ts'

/** Two processes that come up at once may both give way. */
const attempts = 5
const answerTimeoutMs = 60_000

export interface DaemonAnswer {
  readonly state: DaemonState
  readonly greeting: Greeting
}

/** Speaks with the process that serves an array. Errors are AppErrors; what the process refuses, it refuses with them. */
export interface DaemonClient {
  /** Starts the process when it does not run. */
  ask(request: Request, signal: AbortSignal): Promise<DaemonAnswer>
  /** undefined: it does not run. */
  askIfRunning(request: Request, signal: AbortSignal): Promise<DaemonAnswer | undefined>
}

export function createDaemonClient(folder: string, version: string, object: string): DaemonClient {
  async function askIfRunning(request: Request, signal: AbortSignal): Promise<DaemonAnswer | undefined> {
    signal.throwIfAborted()
    const socket = await findTheOne(folder)
    return socket === undefined ? undefined : await converse(socket, request, signal, object)
  }
  const translated = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw translateError(error, object)
    }
  }
  return {
    askIfRunning: (request, signal) => translated(() => askIfRunning(request, signal)),
    ask: (request, signal) =>
      translated(async () => {
        for (let attempt = 0; attempt < attempts; attempt++) {
          const answer = await askIfRunning(request, signal)
          if (answer !== undefined) return answer
          await startDaemon(folder, version)
        }
        throw new AppError('unreachable', 'The process that serves the array does not come up', {
          object,
          facts: { folder },
          advice: 'Look at log.txt in that folder, then try again.',
        })
      }),
  }
}

/** A stop is answered when the process is gone. undefined: the process has ended, or given way to another one, before it heard anything. */
async function converse(
  socket: Socket,
  request: Request,
  signal: AbortSignal,
  object: string,
): Promise<DaemonAnswer | undefined> {
  let isSent = false
  const timeout = AbortSignal.timeout(answerTimeoutMs)
  const cut = (): void => void socket.destroy()
  for (const cause of [signal, timeout]) cause.addEventListener('abort', cut)
  socket.on('error', () => undefined)
  try {
    let greeting: Greeting | undefined
    let result: DaemonAnswer | undefined
    for await (const line of readLines(socket)) {
      const document: unknown = JSON.parse(line)
      if (greeting === undefined) {
        greeting = checkGreeting(document, request, object)
        isSent = true
        socket.write(formatLine(request))
        continue
      }
      const answer = answerSchema.parse(document)
      if (!answer.ok) throw decodeError(answer.error)
      result = { state: answer.state, greeting }
      if (request.do !== 'stop') return result
    }
    if (result !== undefined) return result
  } catch (error) {
    if (error instanceof AppError) throw error
    // what cut the connection is told below
    if (!socket.destroyed) throw error
  } finally {
    for (const cause of [signal, timeout]) cause.removeEventListener('abort', cut)
    socket.destroy()
  }
  const effect = isSent && changesSomething(request) ? 'unknown' : 'none'
  if (signal.aborted) throw new AppError('cancelled', 'The operation was cancelled', { object, effect })
  if (timeout.aborted)
    throw new AppError('timeout', 'The process that serves the array does not answer', { object, effect })
  if (!isSent) return undefined
  throw new AppError('unreachable', 'The process that serves the array has ended before it answered', {
    object,
    effect,
    advice: 'Try again: it is started again, with the same LUNs. Its log tells what happened.',
  })
}

const changesSomething = (request: Request): boolean => request.do !== 'show'

/** A process of another version is spoken to only to stop it. */
function checkGreeting(document: unknown, request: Request, object: string): Greeting {
  const greeting = greetingSchema.parse(document)
  if (greeting.protocol === protocolVersion || request.do === 'stop') return greeting
  throw new AppError('not-supported', 'The process that serves the array is of another version of Gantry', {
    object,
    facts: { version: greeting.version, process: String(greeting.pid) },
    advice: 'Stop it when its LUNs are not in use ("gantry array stop"); it is started again by itself.',
  })
}
