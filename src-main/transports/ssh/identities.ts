import { readFile } from 'node:fs/promises'
import path from 'node:path'
import ssh2 from 'ssh2'
import type { BaseAgent, ParsedKey } from 'ssh2'
import { fingerprintOf, keyTypeOf } from './known-hosts.ts'

const { createAgent, utils } = ssh2

/** A key that can be offered to a server; its secret half may need a passphrase, or live in the agent. */
export interface Identity {
  /** "key ~/.ssh/id_ed25519 (ssh-ed25519 SHA256:...)". */
  readonly label: string
  readonly publicKey: ParsedKey
  readonly source: { readonly from: 'agent'; readonly agent: BaseAgent } | KeyFile
}

/** A key file: its secret half, or what is needed to open it. */
export interface KeyFile {
  readonly from: 'file'
  readonly file: string
  readonly text: Buffer
  /** Absent: encrypted. */
  readonly privateKey: ParsedKey | undefined
}

export type LoadedKey =
  | { readonly state: 'ready'; readonly identity: Identity }
  /** Encrypted, and what it is the key of cannot be seen without its passphrase. */
  | { readonly state: 'sealed'; readonly file: KeyFile }
  | { readonly state: 'missing' }
  | { readonly state: 'unusable'; readonly reason: string }

/** In the order in which they are tried. */
const usualNames = ['id_ed25519', 'id_ecdsa', 'id_rsa', 'id_ed25519_sk', 'id_ecdsa_sk']
export const usualKeyFiles = (homeDir: string): string[] =>
  usualNames.map((name) => path.join(homeDir, '.ssh', name))

const describeKey = (key: ParsedKey): string => `${key.type} ${fingerprintOf(key.getPublicSSH())}`

/** The public half that an OpenSSH key file holds in the clear (PROTOCOL.key in OpenSSH); undefined: another format. */
function publicBlobInside(text: Buffer): Buffer | undefined {
  const match = /-----BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END/.exec(text.toString('latin1'))
  if (match?.[1] === undefined) return undefined
  const bytes = Buffer.from(match[1], 'base64')
  let offset = 'openssh-key-v1\0'.length
  // cipher name, key derivation name and options, each with its length before it; then the number of keys
  for (let field = 0; field < 3; field += 1) {
    if (offset + 4 > bytes.length) return undefined
    offset += 4 + bytes.readUInt32BE(offset)
  }
  offset += 4
  if (offset + 4 > bytes.length) return undefined
  const end = offset + 4 + bytes.readUInt32BE(offset)
  return end > bytes.length ? undefined : bytes.subarray(offset + 4, end)
}

async function publicBlob(file: string, text: Buffer): Promise<Buffer | undefined> {
  const inside = publicBlobInside(text)
  if (inside !== undefined) return inside
  const beside = await readFile(`${file}.pub`, 'latin1').catch(() => undefined)
  const base64 = beside?.trim().split(/\s+/)[1]
  return base64 === undefined ? undefined : Buffer.from(base64, 'base64')
}

const isEncrypted = (message: string): boolean => message.includes('no passphrase given')

/** Opens a key; undefined: the passphrase is wrong. */
export function openKey(text: Buffer, passphrase?: string): ParsedKey | undefined {
  const parsed: unknown = utils.parseKey(text, passphrase)
  const key: unknown = Array.isArray(parsed) ? parsed[0] : parsed
  return key instanceof Error || key === undefined ? undefined : (key as ParsedKey)
}

export const fileIdentity = (file: KeyFile, publicKey: ParsedKey): Identity => ({
  label: `key ${file.file} (${describeKey(publicKey)})`,
  publicKey,
  source: file,
})

/** Reads a key file as far as that goes without a passphrase. Never throws. */
export async function loadKeyFile(file: string): Promise<LoadedKey> {
  let text: Buffer
  try {
    text = await readFile(file)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    return code === 'ENOENT'
      ? { state: 'missing' }
      : { state: 'unusable', reason: `cannot be read (${code})` }
  }
  const blob = await publicBlob(file, text)
  if (blob !== undefined && keyTypeOf(blob).startsWith('sk-'))
    return { state: 'unusable', reason: 'is on a FIDO security key, which Gantry does not support' }
  const parsed = utils.parseKey(text)
  const message = parsed instanceof Error ? parsed.message : ''
  const privateKey = parsed instanceof Error ? undefined : openKey(text)
  if (privateKey !== undefined && !privateKey.isPrivateKey())
    return { state: 'unusable', reason: 'is a public key; name the file without .pub' }
  if (privateKey === undefined && !isEncrypted(message))
    return { state: 'unusable', reason: 'is in no format that Gantry can read (OpenSSH, PEM, PuTTY)' }
  const keyFile: KeyFile = { from: 'file', file, text, privateKey }
  const publicKey = privateKey ?? (blob === undefined ? undefined : openKey(blob))
  if (publicKey === undefined) return { state: 'sealed', file: keyFile }
  return { state: 'ready', identity: fileIdentity(keyFile, publicKey) }
}

/** The keys that an agent holds, security keys left out. Rejects when the agent does not answer. */
export async function listAgentKeys(socket: string): Promise<Identity[]> {
  const agent = createAgent(socket)
  const keys = await new Promise<readonly unknown[]>((resolve, reject) => {
    agent.getIdentities((error, found) => (error ? reject(error) : resolve(found ?? [])))
  })
  return keys.flatMap((key) => {
    if (typeof key !== 'object' || key === null || !('getPublicSSH' in key)) return []
    const publicKey = key as ParsedKey
    return [{ label: `agent key ${describeKey(publicKey)}`, publicKey, source: { from: 'agent', agent } }]
  })
}

export const isSameKey = (one: Identity, other: Identity): boolean =>
  one.publicKey.getPublicSSH().equals(other.publicKey.getPublicSSH())
