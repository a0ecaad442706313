import { createHash, createHmac } from 'node:crypto'

/** One line of a known_hosts file. */
export interface KnownHost {
  readonly marker: 'revoked' | 'cert-authority' | undefined
  /** The names field as it stands: patterns with commas between, or one hashed name. */
  readonly names: string
  readonly type: string
  /** The key blob, base64. */
  readonly key: string
  readonly file: string
  /** From 1. */
  readonly line: number
}

/**
 * Reads the format of known_hosts (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"). Lines that are no such line are passed
 * over, as OpenSSH does: a damaged line can only make a host unknown, never known.
 */
export function parseKnownHosts(text: string, file: string): KnownHost[] {
  const hosts: KnownHost[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    const fields = raw.trim().split(/[ \t]+/)
    if (fields[0] === '' || fields[0]?.startsWith('#') === true) continue
    const isMarked = fields[0]?.startsWith('@') === true
    const marker = isMarked ? fields.shift() : undefined
    if (marker !== undefined && marker !== '@revoked' && marker !== '@cert-authority') continue
    const [names, type, key] = fields
    if (names === undefined || type === undefined || key === undefined || !/^[a-z]/.test(type)) continue
    const known = marker === undefined ? undefined : marker === '@revoked' ? 'revoked' : 'cert-authority'
    hosts.push({ marker: known, names, type, key, file, line: index + 1 })
  }
  return hosts
}

/** The name under which a host's key is kept: "array1", "[array1]:2222". */
export const knownHostName = (host: string, port: number): string =>
  port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`

/** `*` and `?` only; linear in the text, whatever the pattern. */
function matchesPattern(pattern: string, text: string): boolean {
  let at = 0
  let star = -1
  let resume = 0
  let position = 0
  while (position < text.length) {
    if (pattern[at] === '*') {
      star = at
      at += 1
      resume = position
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === text[position])) {
      at += 1
      position += 1
    } else if (star >= 0) {
      at = star + 1
      resume += 1
      position = resume
    } else return false
  }
  while (pattern[at] === '*') at += 1
  return at === pattern.length
}

function matchesHashed(names: string, name: string): boolean {
  const [, version, salt, digest] = names.split('|')
  if (version !== '1' || salt === undefined || digest === undefined) return false
  return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === digest
}

/** Whether the names field speaks of this name. A negated pattern that matches excludes the whole line. */
export function namesHost(names: string, name: string): boolean {
  if (names.startsWith('|')) return matchesHashed(names, name)
  let found = false
  for (const item of names.toLowerCase().split(',')) {
    const isNegated = item.startsWith('!')
    if (!matchesPattern(isNegated ? item.slice(1) : item, name)) continue
    if (isNegated) return false
    found = true
  }
  return found
}

/** "SHA256:..." of a key blob, as OpenSSH prints it. */
export const fingerprintOf = (key: Uint8Array): string =>
  `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`

/** The type that a key blob names in its first field (RFC 4253, 6.6). */
export function keyTypeOf(key: Uint8Array): string {
  const view = Buffer.from(key.buffer, key.byteOffset, key.byteLength)
  if (view.length < 4) return 'unknown'
  const length = view.readUInt32BE(0)
  return length > 64 || view.length < 4 + length ? 'unknown' : view.toString('latin1', 4, 4 + length)
}

export type Verdict =
  | { readonly state: 'known' }
  | { readonly state: 'unknown'; readonly authority: KnownHost | undefined }
  | { readonly state: 'changed'; readonly expected: readonly KnownHost[] }
  | { readonly state: 'revoked'; readonly by: KnownHost }

/**
 * What the files say about a key that a host shows. A host of which only keys of other types are known counts as
 * changed: whoever sits in between could offer a type of his choice.
 */
export function judgeHostKey(
  all: readonly KnownHost[],
  host: string,
  port: number,
  key: Uint8Array,
): Verdict {
  const blob = Buffer.from(key).toString('base64')
  const name = knownHostName(host, port)
  const plainName = knownHostName(host, 22)
  const about = all.filter((item) => namesHost(item.names, name))
  // As OpenSSH does, a key known for the host without a port is good for its other ports too.
  const aboutPlain = name === plainName ? [] : all.filter((item) => namesHost(item.names, plainName))

  const by = [...about, ...aboutPlain].find((item) => item.marker === 'revoked' && item.key === blob)
  if (by !== undefined) return { state: 'revoked', by }
  const keys = about.filter((item) => item.marker === undefined)
  if (keys.some((item) => item.key === blob)) return { state: 'known' }
  if (keys.length > 0) return { state: 'changed', expected: keys }
  if (aboutPlain.some((item) => item.marker === undefined && item.key === blob)) return { state: 'known' }
  return { state: 'unknown', authority: about.find((item) => item.marker === 'cert-authority') }
}

/** The types of the keys that are known for a host. */
export function knownKeyTypes(all: readonly KnownHost[], host: string, port: number): string[] {
  const plain = all.filter((item) => item.marker === undefined)
  const about = (name: string): string[] =>
    plain.filter((item) => namesHost(item.names, name)).map((item) => item.type)
  const own = about(knownHostName(host, port))
  return [...new Set(own.length > 0 ? own : about(knownHostName(host, 22)))]
}
