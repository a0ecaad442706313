import { once } from 'node:events'
import net from 'node:net'

export interface CutOptions {
  /** Cuts each connection after so many bytes from the server; undefined: not by itself. */
  readonly afterServerBytes?: number
  /** Done instead of cutting; nothing passes any more. */
  readonly instead?: () => void
}

/** A TCP relay on 127.0.0.1 that can cut its connections, or go silent as a pulled cable does. */
export class CuttingProxy {
  readonly #server: net.Server
  readonly #pairs = new Set<readonly [net.Socket, net.Socket]>()
  #options: CutOptions = {}
  #isSilent = false
  #clientBytesUntilCut: number | undefined
  accepted = 0
  serverBytes = 0

  private constructor(server: net.Server) {
    this.#server = server
  }

  static async start(targetPort: number): Promise<CuttingProxy> {
    const server = net.createServer().listen(0, '127.0.0.1')
    const proxy = new CuttingProxy(server)
    server.on('connection', (socket) => proxy.#relay(socket, targetPort))
    await once(server, 'listening')
    return proxy
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return address.port
  }

  set options(options: CutOptions) {
    this.#options = options
    this.serverBytes = 0
  }

  /** Cuts once, when so many more bytes have come from the client: they still reach the server, no answer comes back. */
  cutAfterRequest(clientBytes: number): void {
    this.#clientBytesUntilCut = clientBytes
  }

  cutAll(): void {
    for (const [one, other] of this.#pairs) {
      one.resetAndDestroy()
      other.resetAndDestroy()
    }
  }

  /** Nothing passes any more, in either direction, and nobody is told. */
  silence(): void {
    this.#isSilent = true
  }

  async stop(): Promise<void> {
    this.cutAll()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #isLastRequest(chunk: Buffer): boolean {
    if (this.#clientBytesUntilCut === undefined) return false
    this.#clientBytesUntilCut -= chunk.length
    if (this.#clientBytesUntilCut > 0) return false
    this.#clientBytesUntilCut = undefined
    return true
  }

  #relay(client: net.Socket, targetPort: number): void {
    this.accepted += 1
    const target = net.connect(targetPort, '127.0.0.1')
    const pair = [client, target] as const
    this.#pairs.add(pair)
    const end = (): void => {
      client.destroy()
      target.destroy()
      this.#pairs.delete(pair)
    }
    client
      .on('error', () => client.destroy())
      .on('close', () => {
        if (target.writableEnded) this.#pairs.delete(pair)
        else end()
      })
    target.on('error', end).on('close', end)
    client.on('data', (chunk) => {
      if (this.#isSilent) return
      if (this.#isLastRequest(chunk)) {
        // the server gets all of it before it sees the end
        target.removeAllListeners('data').resume().end(chunk)
        client.resetAndDestroy()
      } else if (!target.write(chunk)) {
        client.pause()
        target.once('drain', () => client.resume())
      }
    })
    let seen = 0
    target.on('data', (chunk) => {
      if (this.#isSilent) return
      const { afterServerBytes: limit, instead } = this.#options
      this.serverBytes += chunk.length
      seen += chunk.length
      if (limit !== undefined && seen >= limit) {
        if (instead !== undefined) {
          this.silence()
          instead()
          return
        }
        client.write(chunk.subarray(0, Math.max(0, chunk.length - (seen - limit))))
        client.resetAndDestroy()
        target.destroy()
        return
      }
      if (!client.write(chunk)) {
        target.pause()
        client.once('drain', () => target.resume())
      }
    })
  }
}
