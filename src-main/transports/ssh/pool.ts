import { homedir } from 'node:os'
import { isDeepStrictEqual } from 'node:util'
import type { SshConnection } from '#shared/domain/connection.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { HostKeyReport, SecretProvider, SshPool, SshSession } from './contract.ts'
import { cancelledError } from './errors.ts'
import { HostKeyStore } from './host-keys.ts'
import { closeChain, type LinkContext, openChain, openStream } from './link.ts'
import { type KeepAlive, readHostKey } from './login.ts'
import { findRoute, type Hop, type RouteContext } from './route.ts'
import { SecretMemory } from './secrets.ts'
import { Session } from './session.ts'

export interface SshPoolOptions {
  /** Folder of Gantry's own data: its known_hosts file lies there, the only one that is ever written. */
  readonly dataDir: string
  readonly secrets: SecretProvider
  /** Default: the user's. */
  readonly homeDir?: string
  /** Default: the process's. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Default: 15 s, three times. */
  readonly keepAlive?: KeepAlive
  /** Commands at once for each device; OpenSSH allows ten by default. Default 8. */
  readonly maxChannels?: number
}

interface ShownKey {
  readonly hop: Hop
  readonly key: Buffer
  readonly report: HostKeyReport
}

class Pool implements SshPool {
  readonly #context: LinkContext & RouteContext
  readonly #secrets: SecretMemory
  readonly #byName = new Map<string, Session>()
  readonly #all = new Set<Session>()

  constructor(options: SshPoolOptions) {
    this.#secrets = new SecretMemory(options.secrets)
    this.#context = {
      hostKeys: new HostKeyStore(options.dataDir),
      secrets: this.#secrets,
      homeDir: options.homeDir ?? homedir(),
      env: options.env ?? process.env,
      keepAlive: options.keepAlive ?? { intervalMs: 15_000, count: 3 },
      maxChannels: options.maxChannels ?? 8,
    }
  }

  session(name: string, connection: SshConnection): SshSession {
    const existing = this.#byName.get(name)
    if (existing !== undefined && !existing.isClosed) {
      if (isDeepStrictEqual(existing.connection, connection)) return existing
      // Settings have changed: what runs may end on the old connection.
      void existing.retire()
    }
    for (const session of this.#all) if (session.isClosed) this.#all.delete(session)
    const session = new Session(name, connection, this.#context)
    this.#byName.set(name, session)
    this.#all.add(session)
    return session
  }

  async inspectHostKey(connection: SshConnection, signal: AbortSignal): Promise<HostKeyReport> {
    return (await this.#showKey(connection, signal)).report
  }

  async trustHostKey(connection: SshConnection, fingerprint: string, signal: AbortSignal): Promise<void> {
    const { hop, key, report } = await this.#showKey(connection, signal)
    const object = hop.label
    if (report.fingerprint !== fingerprint)
      throw new AppError('auth-failed', 'The device shows another host key than the one that was accepted', {
        object,
        facts: { accepted: fingerprint, shown: `${report.type} ${report.fingerprint}` },
        advice: 'Compare both with what the device itself says its key is.',
      })
    if (report.state === 'known') return
    const refusal = (await this.#context.hostKeys.keysOf(hop)).refusal(key, object)
    if (report.state === 'changed' && refusal !== undefined) throw refusal
    await this.#context.hostKeys.trust(hop, key)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map(async (session) => await session.close()))
    this.#all.clear()
    this.#byName.clear()
    this.#secrets.clear()
  }

  /**
   * The key of the device, or of the first jump host on the way whose key is not known. A jump host is logged in to,
   * its key being known, when there is something behind it; the server whose key is shown learns nothing about us.
   */
  async #showKey(connection: SshConnection, signal: AbortSignal): Promise<ShownKey> {
    if (signal.aborted) throw cancelledError(connection.host, 'none', signal.reason)
    const { hostKeys, keepAlive } = this.#context
    const hops = await findRoute(connection, this.#context)
    let shown: ShownKey | undefined
    for (const [index, hop] of hops.entries()) {
      const object = hop.label
      const before = await openChain(hops.slice(0, index), this.#context, object, signal)
      try {
        const keys = await hostKeys.keysOf(hop)
        const stream = await openStream(hop, before.at(-1), object, signal)
        const key = await readHostKey({ hop, stream, keys, object, signal, keepAlive })
        shown = { hop, key, report: keys.report(key, object) }
      } finally {
        closeChain(before)
      }
      if (shown.report.state !== 'known') break
    }
    if (shown === undefined) throw new AppError('bug', 'A route without a server')
    return shown
  }
}

/** Sessions to devices over SSH; see {@link SshPool}. Nothing is opened before it is needed. */
export const createSshPool = (options: SshPoolOptions): SshPool => new Pool(options)
