import { malformed, put, slice, u16, u32, u64, u8 } from './fields.ts'

/** A LUN by one of its names (SPC-4, 6.4.5: identification descriptor, E4h). */
export interface CopyTarget {
  /** E4h; of another kind only this is told. */
  readonly type: number
  /** Data for it are thrown away. */
  readonly isNull: boolean
  /** Type and association of the name, as in VPD page 83h. */
  readonly designatorType: number
  readonly association: number
  readonly designator: Uint8Array
  readonly blockBytes: number
}

/** Blocks from one target to another (SPC-4, 6.4.6.2: 02h). */
export interface CopySegment {
  /** 02h; of another kind only this is told. */
  readonly type: number
  /** Indices in the list of targets. */
  readonly source: number
  readonly destination: number
  /** At most 65,535. */
  readonly blocks: number
  readonly sourceLba: number
  readonly destinationLba: number
}

export interface CopyRequest {
  readonly listId: number
  readonly targets: readonly CopyTarget[]
  readonly segments: readonly CopySegment[]
}

export const copyTargetType = 0xe4
export const copySegmentType = 0x02
const headerBytes = 16
const targetBytes = 32
const segmentBytes = 28
const mostDesignatorBytes = 20

/**
 * The parameter list of EXTENDED COPY, LID1 (SPC-4, 6.4.3).
 *
 *     0  1  list identifier                8  4  bytes of segment descriptors
 *     1  1  usage, priority               12  4  bytes of inline data
 *     2  2  bytes of target descriptors   16  n  targets, segments
 */
export function encodeCopyRequest({ listId, targets, segments }: CopyRequest): Uint8Array {
  const bytes = new Uint8Array(headerBytes + targetBytes * targets.length + segmentBytes * segments.length)
  bytes[0] = listId
  put(bytes, 2, 2, targetBytes * targets.length)
  put(bytes, 8, 4, segmentBytes * segments.length)
  let at = headerBytes
  for (const target of targets) {
    bytes[at] = target.type
    bytes[at + 1] = target.isNull ? 0x20 : 0
    bytes[at + 4] = 1
    bytes[at + 5] = (target.association << 4) | target.designatorType
    bytes[at + 7] = target.designator.length
    bytes.set(target.designator.subarray(0, mostDesignatorBytes), at + 8)
    put(bytes, at + 29, 3, target.blockBytes)
    at += targetBytes
  }
  for (const segment of segments) {
    bytes[at] = segment.type
    put(bytes, at + 2, 2, segmentBytes - 4)
    put(bytes, at + 4, 2, segment.source)
    put(bytes, at + 6, 2, segment.destination)
    put(bytes, at + 10, 2, segment.blocks)
    put(bytes, at + 12, 8, segment.sourceLba)
    put(bytes, at + 20, 8, segment.destinationLba)
    at += segmentBytes
  }
  return bytes
}

/** A segment of an unknown type is the last that is read: its length is not to be believed. Throws device-rejected. */
export function decodeCopyRequest(bytes: Uint8Array): CopyRequest {
  slice(bytes, 'EXTENDED COPY list', 0, headerBytes)
  const targetsLength = u16(bytes, 2)
  const segmentsLength = u32(bytes, 8)
  if (targetsLength % targetBytes !== 0)
    throw malformed('length of the copy targets', 2, `a multiple of ${targetBytes}`, targetsLength)
  slice(bytes, 'copy targets', headerBytes, targetsLength)
  const end = headerBytes + targetsLength + segmentsLength
  slice(bytes, 'copy segments', headerBytes + targetsLength, segmentsLength)
  const targets: CopyTarget[] = []
  let at = headerBytes
  for (; at < headerBytes + targetsLength; at += targetBytes)
    targets.push({
      type: u8(bytes, at),
      isNull: (u8(bytes, at + 1) & 0x20) !== 0,
      association: (u8(bytes, at + 5) >> 4) & 3,
      designatorType: u8(bytes, at + 5) & 0xf,
      designator: bytes.subarray(at + 8, at + 8 + Math.min(mostDesignatorBytes, u8(bytes, at + 7))),
      blockBytes: (u8(bytes, at + 29) << 16) | u16(bytes, at + 30),
    })
  const segments: CopySegment[] = []
  for (; at < end; at += segmentBytes) {
    const type = u8(bytes, at)
    const isKnown = type === copySegmentType
    if (isKnown) slice(bytes.subarray(0, end), 'copy segment', at, segmentBytes)
    segments.push({
      type,
      source: isKnown ? u16(bytes, at + 4) : 0,
      destination: isKnown ? u16(bytes, at + 6) : 0,
      blocks: isKnown ? u16(bytes, at + 10) : 0,
      sourceLba: isKnown ? u64(bytes, at + 12) : 0,
      destinationLba: isKnown ? u64(bytes, at + 20) : 0,
    })
    if (!isKnown) break
  }
  return { listId: u8(bytes, 0), targets, segments }
}

/** What a copy manager can do: RECEIVE COPY RESULTS, operating parameters (SPC-4, 6.28.3). Lengths in bytes. */
export interface CopyLimits {
  readonly maxTargets: number
  readonly maxSegments: number
  readonly maxListBytes: number
  readonly maxSegmentBytes: number
}

export function encodeCopyLimits(limits: CopyLimits): Uint8Array {
  const types = [copySegmentType, copyTargetType]
  const bytes = new Uint8Array(44 + types.length)
  put(bytes, 0, 4, bytes.length - 4)
  bytes[4] = 1 // list identifiers are looked at or not (SNLID)
  put(bytes, 8, 2, limits.maxTargets)
  put(bytes, 10, 2, limits.maxSegments)
  put(bytes, 12, 4, limits.maxListBytes)
  put(bytes, 16, 4, limits.maxSegmentBytes)
  put(bytes, 34, 2, 1)
  bytes[36] = 1
  bytes[37] = 9
  bytes[43] = types.length
  bytes.set(types, 44)
  return bytes
}

export function decodeCopyLimits(bytes: Uint8Array): CopyLimits {
  slice(bytes, 'operating parameters', 0, 20)
  return {
    maxTargets: u16(bytes, 8),
    maxSegments: u16(bytes, 10),
    maxListBytes: u32(bytes, 12),
    maxSegmentBytes: u32(bytes, 16),
  }
}

/** How a copy ended: RECEIVE COPY RESULTS, copy status (SPC-4, 6.28.2). */
export interface CopyStatus {
  readonly hasFailed: boolean
  readonly segments: number
}

export function encodeCopyStatus({ hasFailed, segments }: CopyStatus): Uint8Array {
  const bytes = new Uint8Array(12)
  put(bytes, 0, 4, 8)
  bytes[4] = hasFailed ? 2 : 1
  put(bytes, 5, 2, segments)
  return bytes
}

/** undefined: under way. */
export function decodeCopyStatus(bytes: Uint8Array): CopyStatus | undefined {
  slice(bytes, 'copy status', 0, 7)
  const state = u8(bytes, 4) & 0x7f
  return state === 0 ? undefined : { hasFailed: state !== 1, segments: u16(bytes, 5) }
}
