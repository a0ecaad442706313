import { mkdir, open, readFile } from 'node:fs/promises'
import path from 'node:path'
import { AppError } from '#shared/errors/app-error.ts'
import type { HostKeyReport } from './contract.ts'
import {
  fingerprintOf,
  judgeHostKey,
  keyTypeOf,
  knownHostName,
  knownKeyTypes,
  parseKnownHosts,
} from './known-hosts.ts'
import type { KnownHost, Verdict } from './known-hosts.ts'
import type { Hop } from './route.ts'

async function readIfThere(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return ''
    throw new AppError('bad-request', `The known_hosts file ${file} cannot be read`, { cause: error })
  }
}

const place = (item: KnownHost): string => `${item.file} line ${item.line}`
const keyText = (item: KnownHost): string => `${item.type} ${fingerprintOf(Buffer.from(item.key, 'base64'))}`

/** The files' opinion on the keys of one hop, read once for each connection. */
export class KnownKeys {
  readonly #hop: Hop
  readonly #known: readonly KnownHost[]

  constructor(hop: Hop, known: readonly KnownHost[]) {
    this.#hop = hop
    this.#known = known
  }

  get types(): string[] {
    return knownKeyTypes(this.#known, this.#hop.keyHost, this.#hop.keyPort)
  }

  judge(key: Uint8Array): Verdict {
    return judgeHostKey(this.#known, this.#hop.keyHost, this.#hop.keyPort, key)
  }

  /** undefined: the key is known. */
  refusal(key: Uint8Array, object: string): AppError | undefined {
    const verdict = this.judge(key)
    if (verdict.state === 'known') return undefined
    const hop = this.#hop
    const name = knownHostName(hop.keyHost, hop.keyPort)
    const shown = fingerprintOf(key)
    const facts = { host: name, shown: `${keyTypeOf(key)} ${shown}` }
    if (verdict.state === 'revoked')
      return new AppError('auth-failed', `The host key of ${name} is revoked`, {
        object,
        facts: { ...facts, revokedBy: place(verdict.by) },
        advice: 'Do not connect. Ask whoever runs this device for its new key.',
      })
    if (verdict.state === 'changed')
      return new AppError('auth-failed', `The host key of ${name} is not the one that is known`, {
        object,
        facts: {
          ...facts,
          expected: verdict.expected.map(keyText).join(', '),
          from: verdict.expected.map(place).join(', '),
        },
        advice:
          'Someone may be listening in. If the device was set up anew, check its key there, then remove the old one: ' +
          [...new Set(verdict.expected.map((item) => item.file))]
            .map((file) => `ssh-keygen -R '${name}' -f '${file}'`)
            .join('; '),
      })
    const { authority } = verdict
    return new AppError('auth-failed', `The host key of ${name} is not known`, {
      object,
      facts:
        authority === undefined
          ? facts
          : {
              ...facts,
              authority: `${place(authority)} names an authority for host keys; that is not supported`,
            },
      advice: `Check the fingerprint at the device itself, then run this again with --accept-host-key ${shown}`,
    })
  }

  /** Throws auth-failed when the key is revoked. */
  report(key: Uint8Array, object: string): HostKeyReport {
    const verdict = this.judge(key)
    const refusal = verdict.state === 'revoked' ? this.refusal(key, object) : undefined
    if (refusal !== undefined || verdict.state === 'revoked') throw refusal
    return {
      host: this.#hop.keyHost,
      port: this.#hop.keyPort,
      type: keyTypeOf(key),
      fingerprint: fingerprintOf(key),
      state: verdict.state,
      expected: verdict.state === 'changed' ? verdict.expected.map(keyText) : [],
    }
  }
}

/** Host keys: reads the user's files and ours, writes ours alone. */
export class HostKeyStore {
  readonly #ownFile: string

  /** @param dataDir the folder of Gantry's own data; its known_hosts lies there. */
  constructor(dataDir: string) {
    this.#ownFile = path.join(dataDir, 'known_hosts')
  }

  async keysOf(hop: Hop): Promise<KnownKeys> {
    const files = [...new Set([...hop.knownHostsFiles, this.#ownFile])]
    const texts = await Promise.all(files.map(async (file) => parseKnownHosts(await readIfThere(file), file)))
    return new KnownKeys(hop, texts.flat())
  }

  /** One write of whole lines to the end of the file, so that two consoles cannot cut each other's line. */
  async trust(hop: Hop, key: Uint8Array): Promise<void> {
    await mkdir(path.dirname(this.#ownFile), { recursive: true, mode: 0o700 })
    const file = await open(this.#ownFile, 'a+', 0o600)
    try {
      const text = await file.readFile('utf8')
      const line = `${knownHostName(hop.keyHost, hop.keyPort)} ${keyTypeOf(key)} ${Buffer.from(key).toString('base64')}\n`
      await file.chmod(0o600)
      await file.appendFile(text === '' || text.endsWith('\n') ? line : `\n${line}`)
      await file.datasync()
    } finally {
      await file.close()
    }
  }
}
