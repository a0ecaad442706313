import { Buffer } from 'node:buffer'
import { malformed } from './malformed.ts'
import { ahsMaxBytes } from './opcodes.ts'

/** RFC 7143, section 11.2.2. */
export const ahsType = { extendedCdb: 1, bidirectionalReadLength: 2 } as const

export interface AdditionalHeader {
  readonly type: number
  /** What the standard calls AHS-Specific, without padding. */
  readonly specific: Uint8Array
}

const headBytes = 3

/**
 * Additional header segments, one after the other, each padded to four bytes:
 *
 *     0   2   AHSLength: bytes of AHS-Specific, big endian
 *     2   1   AHSType
 *     3   n   AHS-Specific
 */
export function encodeAhs(segments: readonly AdditionalHeader[]): Buffer<ArrayBuffer> {
  const parts = segments.map(({ type, specific }) => {
    const part = Buffer.alloc((headBytes + specific.length + 3) & ~3)
    part.writeUInt16BE(specific.length, 0)
    part[2] = type
    part.set(specific, headBytes)
    return part
  })
  const all = Buffer.concat(parts)
  if (all.length > ahsMaxBytes) throw malformed('AHS', 0, `at most ${ahsMaxBytes} bytes`, all.length)
  return all
}

/** Throws device-rejected when a length reaches over the end. */
export function decodeAhs(bytes: Uint8Array): AdditionalHeader[] {
  if (bytes.length % 4 !== 0) throw malformed('AHS', 0, 'a multiple of 4 bytes', bytes.length)
  const segments: AdditionalHeader[] = []
  for (let offset = 0; offset < bytes.length;) {
    const lengthBytes = ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0)
    const end = offset + headBytes + lengthBytes
    if (end > bytes.length)
      throw malformed('AHSLength', offset, `at most ${bytes.length - offset - headBytes}`, lengthBytes)
    segments.push({
      type: bytes[offset + 2] ?? 0,
      specific: Uint8Array.prototype.slice.call(bytes, offset + headBytes, end),
    })
    offset = (end + 3) & ~3
  }
  return segments
}

const cdbInHeaderBytes = 16

/** The 16 bytes of a header and the AHS (empty when none is needed) for a CDB of any length (section 11.2.2.3). */
export function splitCdb(cdb: Uint8Array): { readonly cdb: Uint8Array; readonly ahs: Uint8Array } {
  const head = new Uint8Array(cdbInHeaderBytes)
  head.set(cdb.subarray(0, cdbInHeaderBytes))
  if (cdb.length <= cdbInHeaderBytes) return { cdb: head, ahs: new Uint8Array(0) }
  const specific = new Uint8Array(1 + cdb.length - cdbInHeaderBytes)
  specific.set(cdb.subarray(cdbInHeaderBytes), 1)
  return { cdb: head, ahs: encodeAhs([{ type: ahsType.extendedCdb, specific }]) }
}

/** The whole CDB of a SCSI Command: the header's 16 bytes and what an extended-CDB AHS adds. */
export function joinCdb(cdb: Uint8Array, ahs: Uint8Array): Uint8Array {
  const extended = decodeAhs(ahs).find(({ type }) => type === ahsType.extendedCdb)
  if (extended === undefined) return cdb
  if (extended.specific.length < 2)
    throw malformed('extended CDB', 0, '2 bytes or more', extended.specific.length)
  return Buffer.concat([cdb, extended.specific.subarray(1)])
}
