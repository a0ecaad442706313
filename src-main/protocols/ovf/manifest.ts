import { AppError } from '#shared/errors/app-error.ts'

export interface Digest {
  readonly algorithm: 'sha1' | 'sha256' | 'sha512'
  /** Hex, lower case. */
  readonly hex: string
}

const hexDigits = { sha1: 40, sha256: 64, sha512: 128 } as const
const isAlgorithm = (text: string): text is Digest['algorithm'] => text in hexDigits

/** An OVF manifest (DSP0243, section 5.3): lines such as "SHA256(disk1.vmdk)= 9f86d0...". Throws bad-request. */
export function parseManifest(text: string): Map<string, Digest> {
  const digests = new Map<string, Digest>()
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === '') continue
    const [, word = '', name = '', hex = ''] = /^(\w+)\s?\((.+)\)\s*=\s*([0-9A-Fa-f]+)\s*$/.exec(line) ?? []
    const algorithm = word.toLowerCase()
    if (!isAlgorithm(algorithm) || hex.length !== hexDigits[algorithm] || digests.has(name))
      throw new AppError(
        'bad-request',
        `The manifest has a line that cannot be used: "${line.slice(0, 120)}"`,
      )
    digests.set(name, { algorithm, hex: hex.toLowerCase() })
  }
  return digests
}
