import crypto from 'node:crypto'
import type { Algorithms, CipherAlgorithm, KexAlgorithm, MacAlgorithm, ServerHostKeyAlgorithm } from 'ssh2'
import { AppError } from '#shared/errors/app-error.ts'

/** What the crypto library of this process can do. Node brings OpenSSL, Electron BoringSSL, which has less. */
export interface CryptoCapabilities {
  readonly ciphers: ReadonlySet<string>
  readonly hashes: ReadonlySet<string>
  readonly curves: ReadonlySet<string>
  readonly dhGroups: ReadonlySet<string>
  readonly x25519: boolean
  readonly ed25519: boolean
}

const dhGroupNames = ['modp2', 'modp14', 'modp15', 'modp16', 'modp17', 'modp18']

function succeeds(attempt: () => unknown): boolean {
  try {
    attempt()
    return true
  } catch {
    return false
  }
}

export function probeCapabilities(): CryptoCapabilities {
  return {
    ciphers: new Set(crypto.getCiphers()),
    hashes: new Set(crypto.getHashes()),
    curves: new Set(crypto.getCurves()),
    dhGroups: new Set(dhGroupNames.filter((name) => succeeds(() => crypto.getDiffieHellman(name)))),
    x25519: succeeds(() => crypto.generateKeyPairSync('x25519')),
    ed25519: succeeds(() => crypto.generateKeyPairSync('ed25519')),
  }
}

interface Row<Name extends string> {
  readonly name: Name
  readonly has: (capabilities: CryptoCapabilities) => boolean
  /** Weak: offered only when the SSH configuration names it for this host. */
  readonly weak?: true
}

const dh =
  (group: string) =>
  (it: CryptoCapabilities): boolean =>
    it.dhGroups.has(group)
const curve =
  (name: string) =>
  (it: CryptoCapabilities): boolean =>
    it.curves.has(name)
const cipher =
  (name: string) =>
  (it: CryptoCapabilities): boolean =>
    it.ciphers.has(name)
const hash =
  (name: string) =>
  (it: CryptoCapabilities): boolean =>
    it.hashes.has(name)
const hashAnd = (name: string, other: (it: CryptoCapabilities) => boolean) => (it: CryptoCapabilities) =>
  it.hashes.has(name) && other(it)

const kexRows: readonly Row<KexAlgorithm>[] = [
  { name: 'curve25519-sha256', has: (it) => it.x25519 },
  { name: 'curve25519-sha256@libssh.org', has: (it) => it.x25519 },
  { name: 'ecdh-sha2-nistp256', has: curve('prime256v1') },
  { name: 'ecdh-sha2-nistp384', has: curve('secp384r1') },
  { name: 'ecdh-sha2-nistp521', has: curve('secp521r1') },
  { name: 'diffie-hellman-group-exchange-sha256', has: hash('sha256') },
  { name: 'diffie-hellman-group16-sha512', has: dh('modp16') },
  { name: 'diffie-hellman-group18-sha512', has: dh('modp18') },
  { name: 'diffie-hellman-group17-sha512', has: dh('modp17') },
  { name: 'diffie-hellman-group15-sha512', has: dh('modp15') },
  { name: 'diffie-hellman-group14-sha256', has: dh('modp14') },
  { name: 'diffie-hellman-group-exchange-sha1', has: hash('sha1'), weak: true },
  { name: 'diffie-hellman-group14-sha1', has: hashAnd('sha1', dh('modp14')), weak: true },
  { name: 'diffie-hellman-group1-sha1', has: hashAnd('sha1', dh('modp2')), weak: true },
]

const hostKeyRows: readonly Row<ServerHostKeyAlgorithm>[] = [
  { name: 'ssh-ed25519', has: (it) => it.ed25519 },
  { name: 'ecdsa-sha2-nistp256', has: curve('prime256v1') },
  { name: 'ecdsa-sha2-nistp384', has: curve('secp384r1') },
  { name: 'ecdsa-sha2-nistp521', has: curve('secp521r1') },
  { name: 'rsa-sha2-512', has: hash('sha512') },
  { name: 'rsa-sha2-256', has: hash('sha256') },
  { name: 'ssh-rsa', has: hash('sha1'), weak: true },
]

// Counter mode comes first: without native code ssh2 moves about three times more bytes with it than with GCM.
const cipherRows: readonly Row<CipherAlgorithm>[] = [
  { name: 'aes128-ctr', has: cipher('aes-128-ctr') },
  { name: 'aes256-ctr', has: cipher('aes-256-ctr') },
  { name: 'aes192-ctr', has: cipher('aes-192-ctr') },
  { name: 'aes128-gcm@openssh.com', has: cipher('aes-128-gcm') },
  { name: 'aes256-gcm@openssh.com', has: cipher('aes-256-gcm') },
  { name: 'chacha20-poly1305@openssh.com', has: cipher('chacha20') },
  { name: 'aes256-cbc', has: cipher('aes-256-cbc'), weak: true },
  { name: 'aes128-cbc', has: cipher('aes-128-cbc'), weak: true },
  { name: '3des-cbc', has: cipher('des-ede3-cbc'), weak: true },
]

const macRows: readonly Row<MacAlgorithm>[] = [
  { name: 'hmac-sha2-256-etm@openssh.com', has: hash('sha256') },
  { name: 'hmac-sha2-512-etm@openssh.com', has: hash('sha512') },
  { name: 'hmac-sha2-256', has: hash('sha256') },
  { name: 'hmac-sha2-512', has: hash('sha512') },
  { name: 'hmac-sha1-etm@openssh.com', has: hash('sha1'), weak: true },
  { name: 'hmac-sha1', has: hash('sha1'), weak: true },
  { name: 'hmac-md5', has: hash('md5'), weak: true },
]

/** Lists in the syntax of the SSH configuration ("+a,b", "-a*", "^a" or a whole list); undefined: nothing said. */
export interface AlgorithmWishes {
  readonly kex?: string | undefined
  readonly hostKey?: string | undefined
  readonly cipher?: string | undefined
  readonly mac?: string | undefined
}

const wildcard = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
  )

function choose<Name extends string>(
  kind: string,
  rows: readonly Row<Name>[],
  capabilities: CryptoCapabilities,
  wish: string | undefined,
): Name[] {
  const available = rows.filter((row) => row.has(capabilities))
  const normal = available.filter((row) => row.weak !== true).map((row) => row.name)
  let chosen = normal
  if (wish !== undefined) {
    const list = wish
      .replace(/^[+^-]/, '')
      .split(',')
      .map((name) => wildcard(name.trim()))
    const named = list.flatMap((item) =>
      available.filter((row) => item.test(row.name)).map((row) => row.name),
    )
    if (wish.startsWith('+')) chosen = [...normal, ...named]
    else if (wish.startsWith('-')) chosen = normal.filter((name) => !named.includes(name))
    else if (wish.startsWith('^')) chosen = [...named, ...normal]
    else chosen = named
  }
  if (chosen.length === 0)
    throw new AppError('not-supported', `None of the wanted ${kind} algorithms is available here`, {
      facts: { wanted: wish ?? 'the usual ones', available: available.map((row) => row.name).join(', ') },
      advice: 'Change the list in the SSH configuration of this host.',
    })
  return [...new Set(chosen)]
}

/** For ssh2's `algorithms`. */
export interface SelectedAlgorithms extends Algorithms {
  readonly kex: KexAlgorithm[]
  readonly serverHostKey: ServerHostKeyAlgorithm[]
  readonly cipher: CipherAlgorithm[]
  readonly hmac: MacAlgorithm[]
}

const keyTypeOf = (algorithm: string): string => (algorithm.startsWith('rsa-sha2-') ? 'ssh-rsa' : algorithm)

/**
 * The algorithms to offer: what this process can do, without weak ones unless the SSH configuration names them.
 * Host key types that are known for the host come first, so that a known host is not asked for a key nobody knows.
 */
export function selectAlgorithms(
  capabilities: CryptoCapabilities,
  knownHostKeyTypes: readonly string[],
  wishes: AlgorithmWishes = {},
): SelectedAlgorithms {
  const hostKeys = choose('host key', hostKeyRows, capabilities, wishes.hostKey)
  const isKnown = (name: string): boolean => knownHostKeyTypes.includes(keyTypeOf(name))
  return {
    kex: choose('key exchange', kexRows, capabilities, wishes.kex),
    serverHostKey: [...hostKeys.filter(isKnown), ...hostKeys.filter((name) => !isKnown(name))],
    cipher: choose('cipher', cipherRows, capabilities, wishes.cipher),
    hmac: choose('MAC', macRows, capabilities, wishes.mac),
    compress: ['none'],
  }
}
