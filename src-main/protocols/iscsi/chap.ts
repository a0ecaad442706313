import { Buffer } from 'node:buffer'
import { createHash, getHashes, timingSafeEqual } from 'node:crypto'

/** CHAP_A (RFC 7143, section 12.1.3 and the IANA registry of RFC 3720/7143): number -> name of the hash in Node. */
const hashNames = { 5: 'md5', 6: 'sha1', 7: 'sha256', 8: 'sha3-256' } as const
export type ChapAlgorithm = keyof typeof hashNames

/** Longest challenge and response that are read. */
export const chapMaxBytes = 1024

/** The strongest first; what this build of Node cannot compute is left out. */
export const chapAlgorithms: readonly ChapAlgorithm[] = ([8, 7, 6, 5] as const).filter((algorithm) =>
  getHashes().includes(hashNames[algorithm]),
)

export interface ChapCredentials {
  readonly name: string
  readonly secret: string
}

/** Hash of identifier (one byte), secret and challenge (RFC 1994, section 4.1). */
export function chapResponse(
  algorithm: ChapAlgorithm,
  identifier: number,
  secret: string,
  challenge: Uint8Array,
): Buffer {
  return createHash(hashNames[algorithm])
    .update(Uint8Array.of(identifier & 0xff))
    .update(Buffer.from(secret, 'utf8'))
    .update(challenge)
    .digest()
}

/** Tells nothing by its time but the lengths, which are public. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && timingSafeEqual(a, b)

/** The first algorithm of the other side's list that this side knows, or of its own preference. */
export const chooseAlgorithm = (list: string): ChapAlgorithm | undefined => {
  const offered = list.split(',')
  return chapAlgorithms.find((algorithm) => offered.includes(String(algorithm)))
}
