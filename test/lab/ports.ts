import { createServer } from 'node:net'

const firstPort = 24_000
// Below Linux's default range of outgoing ports (32768..): a daemon that is down for a moment must find its port free again.
const lastPort = 31_999

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  const { promise, resolve } = Promise.withResolvers<boolean>()
  server.once('error', () => resolve(false))
  server.listen(port, '127.0.0.1', () => {
    server.close(() => resolve(true))
  })
  return promise
}

/** Different loopback ports that nobody listens on now. The search begins anywhere, so that labs do not meet. */
export async function findFreePorts(count: number): Promise<number[]> {
  const found: number[] = []
  const size = lastPort - firstPort + 1
  const start = Math.floor(Math.random() * size)
  for (let step = 0; step < size && found.length < count; step++) {
    const port = firstPort + ((start + step) % size)
    if (await isFree(port)) found.push(port)
  }
  if (found.length < count)
    throw new Error(`Only ${found.length} free ports between ${firstPort} and ${lastPort}`)
  return found
}
