import type { Duplex } from 'node:stream'
import type { Client } from 'ssh2'
import type { AppError } from '#shared/errors/app-error.ts'
import { ChannelSlots } from './channel-slots.ts'
import { lostError } from './errors.ts'
import type { HostKeyStore } from './host-keys.ts'
import { type KeepAlive, logIn } from './login.ts'
import type { Hop } from './route.ts'
import type { SecretMemory } from './secrets.ts'
import { SpareShells } from './spare-shells.ts'
import { openForward, openProxyCommand, openTcp } from './socket.ts'

export interface LinkContext {
  readonly hostKeys: HostKeyStore
  readonly secrets: SecretMemory
  readonly homeDir: string
  readonly keepAlive: KeepAlive
  readonly maxChannels: number
}

/** The stream to a hop: the first one over TCP or a proxy command, the others through the hop before. */
export async function openStream(
  hop: Hop,
  before: Client | undefined,
  object: string,
  signal: AbortSignal,
): Promise<Duplex> {
  if (before !== undefined) return await openForward(before, hop, object, signal)
  if (hop.proxyCommand !== undefined) return openProxyCommand(hop, hop.proxyCommand, object)
  return await openTcp(hop, object, signal)
}

/** Logs in to hops one behind the other; closes those that are open when one fails. */
export async function openChain(
  hops: readonly Hop[],
  context: LinkContext,
  object: string,
  signal: AbortSignal,
): Promise<Client[]> {
  const { hostKeys, secrets, homeDir, keepAlive } = context
  const clients: Client[] = []
  try {
    for (const hop of hops) {
      const keys = await hostKeys.keysOf(hop)
      const stream = await openStream(hop, clients.at(-1), object, signal)
      clients.push(await logIn({ hop, stream, keys, homeDir, secrets, object, signal, keepAlive }))
    }
    return clients
  } catch (error) {
    closeChain(clients)
    throw error
  }
}

export function closeChain(clients: readonly Client[]): void {
  for (const client of clients.toReversed()) {
    client.on('error', () => undefined)
    client.end()
  }
}

/** An open connection to a device. When it is lost it stays lost: the session opens another one. */
export class Link {
  readonly client: Client
  readonly slots: ChannelSlots
  readonly spares: SpareShells
  /** Resolves when the connection is over, whoever ended it. */
  readonly over: Promise<void>
  readonly #clients: readonly Client[]
  #lost: AppError | undefined
  #isClosing = false

  constructor(
    clients: readonly Client[],
    client: Client,
    { object, sudo }: { readonly object: string; readonly sudo: boolean },
    maxChannels: number,
  ) {
    this.#clients = clients
    this.client = client
    this.slots = new ChannelSlots(maxChannels)
    this.spares = new SpareShells(this, object, { sudo })
    const onLoss = (cause?: unknown): void => {
      this.#lost ??= lostError(object, cause)
      this.slots.close(this.#lost)
    }
    this.over = new Promise((resolve) => {
      client.on('close', () => {
        onLoss()
        closeChain(clients)
        resolve()
      })
    })
    for (const each of clients) each.on('error', onLoss)
    client.on('end', () => onLoss())
  }

  static async open(
    hops: readonly Hop[],
    context: LinkContext,
    use: { readonly object: string; readonly sudo: boolean },
    signal: AbortSignal,
  ): Promise<Link> {
    const clients = await openChain(hops, context, use.object, signal)
    const client = clients.at(-1)
    if (client === undefined) throw new Error('a route has at least one hop')
    return new Link(clients, client, use, context.maxChannels)
  }

  get lost(): AppError | undefined {
    return this.#lost
  }

  /** True once we end it ourselves. */
  get isClosing(): boolean {
    return this.#isClosing
  }

  /** Says goodbye; what does not answer within a second is cut off. */
  async close(): Promise<void> {
    this.#isClosing = true
    const timer = setTimeout(() => {
      for (const client of this.#clients) client.destroy()
    }, 1000)
    await Promise.race([this.spares.close(), this.over])
    closeChain(this.#clients)
    await this.over
    clearTimeout(timer)
  }
}
