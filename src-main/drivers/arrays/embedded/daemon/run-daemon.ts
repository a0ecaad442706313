import { once } from 'node:events'
import type { Server, Socket } from 'node:net'
import { stat } from 'node:fs/promises'
import { z } from 'zod'
import { AppError } from '#shared/errors/app-error.ts'
import { encodeError } from '#shared/errors/wire-error.ts'
import type { StartIscsiTarget } from '#main/transports/iscsi-target/contract.ts'
import { becomeTheOne } from './become-the-one.ts'
import { formatLine, readLines } from './lines.ts'
import { LunServer } from './lun-server.ts'
import { daemonPlaces } from './places.ts'
import { protocolVersion, requestSchema } from './protocol.ts'
import type { Answer, Greeting } from './protocol.ts'

export interface DaemonOptions {
  /** The array's folder, see places.ts. */
  readonly folder: string
  /** Of the product. */
  readonly version: string
  readonly startTarget: StartIscsiTarget
  readonly log: (text: string) => void
  /** A process without a LUN ends when nobody has asked it anything for so long. */
  readonly idleMs: number
}

export interface Daemon {
  /** Resolves when its target is closed; the process is to exit then. */
  readonly ended: Promise<void>
  readonly stop: () => void
}

/** Serves one array until it is stopped. undefined: another process does. Throws what keeps it from serving. */
export async function runDaemon(options: DaemonOptions): Promise<Daemon | undefined> {
  const { folder, log, startTarget } = options
  const places = daemonPlaces(folder)
  // until it is clear that this process is the one, a console that has connected hears nothing
  const decided = Promise.withResolvers<LunServer | undefined>()
  let toldToStop: () => void = () => undefined
  const stopping = new Promise<void>((resolve) => (toldToStop = resolve))
  let idle: NodeJS.Timeout | undefined

  const onSocket = (socket: Socket): void => {
    socket.on('error', () => socket.destroy())
    void decided.promise
      .then(async (luns) => {
        if (luns === undefined) return void socket.destroy()
        clearTimeout(idle)
        // who has asked for the end sees it: the socket goes with the process
        if (await answer(socket, luns, options)) return toldToStop()
        waitIdle(luns)
        socket.end()
      })
      .catch((error: unknown) => {
        log(`a console was cut off: ${String(error)}`)
        socket.destroy()
      })
  }
  const waitIdle = (luns: LunServer): void => {
    clearTimeout(idle)
    idle = setTimeout(() => {
      void stat(folder).then(() => (luns.isEmpty ? toldToStop() : waitIdle(luns)), toldToStop)
    }, options.idleMs)
  }

  let server: Server | undefined
  try {
    server = await becomeTheOne(folder, onSocket)
    if (server === undefined) {
      decided.resolve(undefined)
      return undefined
    }
    const luns = await LunServer.open({
      tablePath: places.table,
      targetFolder: places.target,
      startTarget,
      log,
    })
    decided.resolve(luns)
    waitIdle(luns)
    const running = server
    const end = async (): Promise<void> => {
      await stopping
      clearTimeout(idle)
      running.close()
      await luns.close()
    }
    return { ended: end(), stop: toldToStop }
  } catch (error) {
    decided.resolve(undefined)
    server?.close()
    throw error
  }
}

/** Greets, takes one request and answers it; resolves to true when the request was to stop. */
async function answer(socket: Socket, luns: LunServer, { version, log }: DaemonOptions): Promise<boolean> {
  const greeting: Greeting = {
    gantry: 'embedded-array',
    protocol: protocolVersion,
    version,
    pid: process.pid,
  }
  socket.write(formatLine(greeting))
  for await (const line of readLines(socket)) {
    const { answer: document, stop } = await answerTo(line, luns, log)
    if (!socket.write(formatLine(document))) await once(socket, 'drain')
    return stop
  }
  return false
}

async function answerTo(
  line: string,
  luns: LunServer,
  log: (text: string) => void,
): Promise<{ answer: Answer; stop: boolean }> {
  let stop = false
  try {
    const request = parseRequest(line)
    await luns.handle(request)
    stop = request.do === 'stop'
    if (stop) await luns.close()
    return { answer: { ok: true, state: luns.state() }, stop }
  } catch (error) {
    const wire = encodeError(error)
    log(`refused: ${wire.message} (${wire.code}) ${JSON.stringify(wire.facts)}`)
    return { answer: { ok: false, error: wire }, stop }
  }
}

function parseRequest(line: string): z.infer<typeof requestSchema> {
  let document: unknown
  try {
    document = JSON.parse(line)
  } catch {
    // the text itself may hold a secret
    throw new AppError('bad-request', 'The request is no JSON')
  }
  const parsed = requestSchema.safeParse(document)
  if (!parsed.success)
    throw new AppError('bad-request', 'The request is not of this version', {
      facts: { wrong: parsed.error.issues.map(({ path }) => path.join('.')).join(', ') },
      advice:
        'Stop the array ("gantry array stop") and try again: its process is of another version of Gantry.',
    })
  return parsed.data
}
