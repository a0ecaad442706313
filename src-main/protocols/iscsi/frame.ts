import { Buffer } from 'node:buffer'
import type { Crc32 } from '../crc/slicing.ts'
import { crc32c } from '../crc/crc32c.ts'
import { malformed } from './malformed.ts'
import { ahsMaxBytes, at, bhsBytes, dataSegmentMaxBytes, digestBytes } from './opcodes.ts'

/** What both sides agreed on: whether headers and data segments are followed by their CRC-32C. */
export interface Digests {
  readonly header: boolean
  readonly data: boolean
}
export const noDigests: Digests = { header: false, data: false }

/** How many bytes of padding follow a data segment. */
export const paddingOf = (lengthBytes: number): number => -lengthBytes & 3

const zeros = Buffer.alloc(4)
export const noBytes = Buffer.alloc(0)

/** Sets the two lengths of a header (RFC 7143, sections 11.2.1.5 and 11.2.1.6). */
export function setLengths(header: Uint8Array, ahsBytes: number, dataBytes: number, offset = 0): void {
  if (dataBytes > dataSegmentMaxBytes || dataBytes < 0)
    throw malformed('DataSegmentLength', at.dataSegmentLength, `0 to ${dataSegmentMaxBytes}`, dataBytes)
  if (ahsBytes > ahsMaxBytes || ahsBytes % 4 !== 0)
    throw malformed('AHS', at.totalAhsLength, `a multiple of 4 up to ${ahsMaxBytes}`, ahsBytes)
  header[offset + at.totalAhsLength] = ahsBytes >> 2
  header[offset + at.dataSegmentLength] = dataBytes >> 16
  header[offset + at.dataSegmentLength + 1] = dataBytes >> 8
  header[offset + at.dataSegmentLength + 2] = dataBytes
}

/** The digest goes over the wire with its least significant byte first. */
export function writeDigest(into: Buffer, offset: number, crc: number): void {
  into.writeUInt32LE(crc, offset)
}

/** Padding and data digest behind a data segment of these parts; up to 7 bytes. */
export function dataTail(
  parts: readonly Uint8Array[],
  lengthBytes: number,
  digest: boolean,
  crc: Crc32,
): Buffer {
  const padding = paddingOf(lengthBytes)
  if (!digest || lengthBytes === 0) return padding === 0 ? noBytes : zeros.subarray(0, padding)
  const tail = Buffer.alloc(padding + digestBytes)
  let sum = 0
  for (const part of parts) sum = crc(part, sum)
  if (padding > 0) sum = crc(tail.subarray(0, padding), sum)
  writeDigest(tail, padding, sum)
  return tail
}

/**
 * A PDU as it goes over the wire (section 11.1): header, AHS, header digest, data, padding, data digest. Returns the
 * parts to write in this order; the data are not copied.
 * @param header 48 bytes; its two length fields are set
 * @param crc for the data; a native one where much is sent
 */
export function framePdu(
  header: Buffer,
  options: {
    readonly data?: Uint8Array
    readonly ahs?: Uint8Array
    readonly digests?: Digests
    readonly crc?: Crc32
  } = {},
): Buffer[] {
  const { data = noBytes, ahs = noBytes, digests = noDigests, crc = crc32c } = options
  setLengths(header, ahs.length, data.length)
  const parts = [header.subarray(0, bhsBytes)]
  if (ahs.length > 0) parts.push(viewOf(ahs))
  if (digests.header) {
    const digest = Buffer.alloc(digestBytes)
    writeDigest(digest, 0, crc32c(ahs, crc32c(header)))
    parts.push(digest)
  }
  if (data.length > 0) {
    parts.push(viewOf(data))
    const tail = dataTail([data], data.length, digests.data, crc)
    if (tail.length > 0) parts.push(tail)
  }
  return parts
}

const viewOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
