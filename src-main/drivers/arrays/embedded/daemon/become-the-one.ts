import { unlink } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { once } from 'node:events'
import type { Server, Socket } from 'node:net'
import { systemCode } from '#main/transports/local/file-errors.ts'
import { translateError } from '../errors.ts'
import { pipeName, socketFolder, socketNumbers, socketPath } from './places.ts'

/**
 * A server on the socket of an array, if this process is the one that serves it; undefined: another one does, or
 * comes up at the same time. At most one process of an array gets a server, whatever dies when:
 *
 * A socket is bound under a number that no file has, so binding is exclusive and nothing of a dead process needs to
 * be removed before. Only then, while it listens itself, does a process try all others, and gives way to any that
 * answers. Of two, the one that listens later sees the other. Both may give way to each other: then neither has begun
 * to serve, and the console starts one again.
 */
export async function becomeTheOne(
  folder: string,
  onSocket: (socket: Socket) => void,
): Promise<Server | undefined> {
  if (process.platform === 'win32') return listen(pipeName(folder), onSocket)
  const place = await socketFolder(folder)
  const [highest = 0] = await socketNumbers(place)
  if (highest > 0 && (await answers(socketPath(place, highest)))) return undefined
  const number = highest + 1
  const server = await listen(socketPath(place, number), onSocket)
  if (server === undefined) return undefined
  const others = (await socketNumbers(place)).filter((other) => other !== number)
  for (const other of others)
    if (await answers(socketPath(place, other))) {
      server.close()
      return undefined
    }
  for (const other of others)
    if (other < number) await unlink(socketPath(place, other)).catch(() => undefined)
  return server
}

/** A connection to the process that serves an array; undefined: there is none. */
export async function findTheOne(folder: string): Promise<Socket | undefined> {
  if (process.platform === 'win32') return open(pipeName(folder))
  const place = await socketFolder(folder)
  for (const number of await socketNumbers(place)) {
    const socket = await open(socketPath(place, number))
    if (socket !== undefined) return socket
  }
  return undefined
}

async function answers(path: string): Promise<boolean> {
  const socket = await open(path)
  socket?.destroy()
  return socket !== undefined
}

async function open(path: string): Promise<Socket | undefined> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return socket
  } catch (error) {
    socket.destroy()
    // nobody listens any more; nothing is there (any more)
    if (systemCode(error) === 'ECONNREFUSED' || systemCode(error) === 'ENOENT') return undefined
    throw translateError(error, path)
  }
}

async function listen(path: string, onSocket: (socket: Socket) => void): Promise<Server | undefined> {
  const server = createServer(onSocket)
  server.listen(path)
  try {
    await once(server, 'listening')
    return server
  } catch (error) {
    if (systemCode(error) === 'EADDRINUSE') return undefined
    throw translateError(error, path)
  }
}
