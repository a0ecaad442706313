import path from 'node:path'
import type { SecretSource, SshConnection } from '#shared/domain/connection.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { AlgorithmWishes } from './algorithms.ts'
import { type ConfigValues, expandTokens, localUser, readSshConfig } from './ssh-config.ts'

/** One SSH server on the way to a device, the device itself included. */
export interface Hop {
  /** "root@array1" or "root@array1:2222". */
  readonly label: string
  readonly host: string
  readonly port: number
  readonly user: string
  /** The name under which the host key is kept: the host, or HostKeyAlias. */
  readonly keyHost: string
  readonly keyPort: number
  /** Key files that the connection or the configuration names; undefined: the usual ones. */
  readonly identityFiles: readonly string[] | undefined
  /** Of the agent's keys use only those that are also named as files. */
  readonly identitiesOnly: boolean
  /** Socket of the agent; undefined: none. */
  readonly agentSocket: string | undefined
  readonly password: SecretSource | undefined
  readonly passphrase: SecretSource | undefined
  readonly knownHostsFiles: readonly string[]
  readonly algorithms: AlgorithmWishes
  readonly connectTimeoutMs: number
  /** Only of the first hop: a command whose standard streams are the way to it. */
  readonly proxyCommand: string | undefined
}

export interface RouteContext {
  readonly homeDir: string
  readonly env: Readonly<Record<string, string | undefined>>
}

interface Place {
  readonly host: string
  readonly port: number | undefined
  readonly user: string | undefined
}

const maxHops = 8

/** "[user@]host[:port]", also "[2001:db8::1]:22" and the ssh:// form. Throws bad-request. */
export function parsePlace(text: string): Place {
  const match =
    /^(?:ssh:\/\/)?(?:([^@\s]+)@)?(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^\s:@[\]]+))(?::(\d{1,5}))?$/.exec(text)
  const host = match?.[2] ?? match?.[3]
  const port = match?.[4] === undefined ? undefined : Number(match[4])
  if (host === undefined || host.startsWith('-') || port === 0 || (port ?? 0) > 65535)
    throw new AppError('bad-request', `"${text}" is no jump host`, { advice: 'Write it as user@host:port.' })
  return { host, port, user: match?.[1] }
}

const one = (value: string | readonly string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : value?.[0]
const many = (value: string | readonly string[] | undefined): readonly string[] | undefined =>
  typeof value === 'string' ? [value] : value
const unlessNone = (value: string | undefined): string | undefined =>
  value === undefined || value.toLowerCase() === 'none' ? undefined : value

function portOf(text: string | undefined): number {
  const port = text === undefined ? 22 : Number(text)
  if (Number.isInteger(port) && port > 0 && port < 65536) return port
  throw new AppError('bad-request', `"${text}" is no port`, { advice: 'Correct the SSH configuration.' })
}

/** Finds the way to a device: the connection's own settings first, then the SSH configuration, then defaults. */
class RouteFinder {
  readonly #connection: SshConnection
  readonly #context: RouteContext

  constructor(connection: SshConnection, context: RouteContext) {
    this.#connection = connection
    this.#context = context
  }

  async find(): Promise<Hop[]> {
    const { host, port, user, jumps } = this.#connection
    const place = { host: host.replace(/^\[(.*)\]$/, '$1'), port, user }
    return await this.#routeTo(place, jumps?.map(parsePlace), true, [])
  }

  async #routeTo(
    place: Place,
    jumps: readonly Place[] | undefined,
    isDevice: boolean,
    visited: readonly string[],
  ): Promise<Hop[]> {
    const key = `${place.user ?? ''}@${place.host}:${place.port ?? ''}`
    if (visited.includes(key) || visited.length >= maxHops)
      throw new AppError('bad-request', 'The jump hosts lead in a circle, or there are too many of them', {
        facts: { way: [...visited, key].join(' -> ') },
      })
    const config = await this.#read(place)
    const hop = this.#hop(place, config, isDevice)
    const before = jumps ?? this.#configuredJumps(config)
    if (before === undefined || before.length === 0)
      return [jumps === undefined ? hop : { ...hop, proxyCommand: undefined }]
    // The first jump host may itself be behind others; the ones after it are reached through it.
    const [first, ...others] = before
    const way = first === undefined ? [] : await this.#routeTo(first, undefined, false, [...visited, key])
    for (const other of others) way.push(this.#hop(other, await this.#read(other), false))
    return [...way, hop].map((item, index) => (index === 0 ? item : { ...item, proxyCommand: undefined }))
  }

  /** ProxyJump, unless a ProxyCommand stands before it: the first of both counts. */
  #configuredJumps(config: ConfigValues): Place[] | undefined {
    const jump = one(config['proxyjump'])
    const keys = Object.keys(config)
    const isOverruled =
      config['proxycommand'] !== undefined && keys.indexOf('proxycommand') < keys.indexOf('proxyjump')
    if (jump === undefined || jump.toLowerCase() === 'none' || isOverruled) return undefined
    return jump.split(',').map((item) => parsePlace(item.trim()))
  }

  async #read(place: Place): Promise<ConfigValues> {
    const { configFile } = this.#connection
    if (configFile === null) return {}
    const { homeDir } = this.#context
    const file = configFile ?? path.join(homeDir, '.ssh', 'config')
    const named = { file: this.#path(file), isDefault: configFile === undefined }
    return await readSshConfig({ ...named, host: place.host, user: place.user, homeDir })
  }

  #path(file: string): string {
    const { homeDir, env } = this.#context
    const expanded = file.replaceAll(/\$\{(\w+)\}/g, (whole, name: string) => env[name] ?? whole)
    return path.resolve(homeDir, expanded.replace(/^~(?=\/|\\|$)/, homeDir))
  }

  #hop(place: Place, config: ConfigValues, isDevice: boolean): Hop {
    const connection = this.#connection
    const { homeDir } = this.#context
    const host = expandTokens(one(config['hostname']) ?? place.host, { h: place.host })
    const port = place.port ?? portOf(one(config['port']))
    const user = place.user ?? one(config['user']) ?? localUser()
    const tokens = { h: host, n: place.host, p: String(port), r: user, u: localUser(), d: homeDir }
    const files = (list: readonly string[] | undefined): string[] | undefined =>
      list?.map((file) => this.#path(expandTokens(file, tokens)))
    const alias = one(config['hostkeyalias'])
    const configured = files(many(config['identityfile'])?.filter((file) => file.toLowerCase() !== 'none'))
    const own = connection.identityFiles?.map((file) => this.#path(file))
    const seconds = Number(one(config['connecttimeout']) ?? Number.NaN)
    const proxyCommand = unlessNone(one(config['proxycommand']))
    return {
      label: `${user}@${host}${port === 22 ? '' : `:${port}`}`,
      host,
      port,
      user,
      keyHost: alias ?? host,
      keyPort: alias === undefined ? port : 22,
      // A jump host's own keys come before the device's.
      identityFiles: isDevice ? (own ?? configured) : (configured ?? own),
      identitiesOnly: one(config['identitiesonly'])?.toLowerCase() === 'yes',
      agentSocket: this.#agentSocket(one(config['identityagent']), tokens),
      password: isDevice ? connection.password : undefined,
      passphrase: connection.passphrase,
      knownHostsFiles: [
        ...(connection.knownHostsFiles?.map((file) => this.#path(file)) ?? []),
        ...(files(many(config['userknownhostsfile'])) ??
          ['known_hosts', 'known_hosts2'].map((file) => path.join(homeDir, '.ssh', file))),
        ...(files(many(config['globalknownhostsfile'])) ?? ['/etc/ssh/ssh_known_hosts']),
      ],
      algorithms: {
        kex: one(config['kexalgorithms']),
        hostKey: one(config['hostkeyalgorithms']),
        cipher: one(config['ciphers']),
        mac: one(config['macs']),
      },
      connectTimeoutMs: seconds > 0 ? seconds * 1000 : 15_000,
      proxyCommand: proxyCommand === undefined ? undefined : expandTokens(proxyCommand, tokens),
    }
  }

  #agentSocket(configured: string | undefined, tokens: Readonly<Record<string, string>>): string | undefined {
    if (this.#connection.agent === false || configured?.toLowerCase() === 'none') return undefined
    const fromEnv = this.#context.env['SSH_AUTH_SOCK']
    const usual =
      fromEnv ?? (process.platform === 'win32' ? String.raw`\\.\pipe\openssh-ssh-agent` : undefined)
    if (configured === undefined || configured === 'SSH_AUTH_SOCK') return usual
    return this.#path(expandTokens(configured, tokens))
  }
}

/** The servers on the way to a device, in order; the last one is the device. Throws bad-request, not-found. */
export async function findRoute(connection: SshConnection, context: RouteContext): Promise<Hop[]> {
  return await new RouteFinder(connection, context).find()
}
