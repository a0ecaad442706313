import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { headerCopyOffsets, headerPartitionBytes } from '#shared/domain/unit-layout.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { copyBytes, decodeHeaderCopy, encodeHeaderCopy } from './header-copy.ts'
import type { HeaderCopy } from './header-copy.ts'

export interface NewHeader {
  readonly unitId: string
  /** From 1, rises with every write. */
  readonly generation: number
  readonly header: UnitHeader
}

/** `problems` also tells what is wrong with the other copy when the state is ok. */
export type HeaderPartition =
  | {
      readonly state: 'ok'
      readonly header: UnitHeader
      readonly generation: number
      readonly problems: readonly string[]
    }
  /** Verified, but written by a Gantry whose format this one does not know. Not to be written to. */
  | {
      readonly state: 'newer'
      readonly formatVersion: number
      readonly generation: number
      readonly problems: readonly string[]
    }
  /** damaged: no copy verifies; empty: no copy was ever written. */
  | { readonly state: 'damaged' | 'empty'; readonly problems: readonly string[] }

export interface HeaderWrite {
  /** From the beginning of the header partition; a multiple of 4096, as is the length. */
  readonly offsetBytes: number
  readonly bytes: Uint8Array
}

/** The whole partition for a new unit: both copies of the same generation, everything else zero. Throws bad-request. */
export function encodeHeaderPartition({ unitId, generation, header }: NewHeader): Uint8Array {
  if (header.unitId !== unitId)
    throw new AppError('bad-request', `The header is that of unit ${header.unitId}, not of ${unitId}`)
  const partition = new Uint8Array(headerPartitionBytes)
  const copy = encodeHeaderCopy(header, generation)
  for (const offset of headerCopyOffsets) partition.set(copy, offset)
  return partition
}

/** Takes the valid copy with the higher generation. Never throws; `bytes` may be cut off. */
export function decodeHeaderPartition(bytes: Uint8Array): HeaderPartition {
  const copies = decodeCopies(bytes)
  const current = currentOf(copies)
  if (current === undefined) {
    const written = copies.some(({ state }) => state !== 'absent')
    return { state: written ? 'damaged' : 'empty', problems: written ? copies.map(describeUnusable) : [] }
  }
  const { copy, other } = current
  const problems = problemsOfOther(copy, other, copies.indexOf(other))
  if (copy.state === 'newer') {
    const { generation, formatVersion } = copy
    const newer = `The header was written by a newer Gantry (format version ${formatVersion})`
    return { state: 'newer', generation, formatVersion, problems: [newer, ...problems] }
  }
  return { state: 'ok', header: copy.header, generation: copy.generation, problems }
}

/**
 * The two writes that replace a header, in this order, each to be flushed before the next: first the copy that is
 * broken or older, so that a valid header stands at every moment.
 * @param existing the header partition as it is now
 * @param update gets the current header; what it does not change, unknown fields too, stays
 * @throws not-supported for a header of a newer format, device-rejected when none is there or none verifies
 */
export function rewriteHeader(
  existing: Uint8Array,
  update: (header: UnitHeader) => UnitHeader,
): { readonly generation: number; readonly writes: readonly [HeaderWrite, HeaderWrite] } {
  const copies = decodeCopies(existing)
  const { copy } = requireCurrent(copies)
  const generation = copy.generation + 1
  const bytes = encodeHeaderCopy(update(copy.header), generation)
  const [first, second] = headerCopyOffsets
  const order = copy === copies[0] ? ([second, first] as const) : ([first, second] as const)
  return {
    generation,
    writes: [
      { offsetBytes: order[0], bytes },
      { offsetBytes: order[1], bytes },
    ],
  }
}

/**
 * The write that makes both copies the same again: the current one over the one that is broken, missing, older or
 * different. undefined: nothing is to be repaired. Throws as {@link rewriteHeader}.
 */
export function repairHeaderCopies(existing: Uint8Array): HeaderWrite | undefined {
  const copies = decodeCopies(existing)
  const { copy, other } = requireCurrent(copies)
  if (problemsOfOther(copy, other, copies.indexOf(other)).length === 0) return undefined
  const [first, second] = headerCopyOffsets
  const [from, to] = copy === copies[0] ? [first, second] : [second, first]
  return { offsetBytes: to, bytes: existing.slice(from, from + copyBytes(existing.subarray(from))) }
}

function requireCurrent(copies: Copies): { copy: Extract<HeaderCopy, { state: 'ok' }>; other: HeaderCopy } {
  const current = currentOf(copies)
  if (current === undefined)
    throw new AppError('device-rejected', 'The unit has no header that verifies', {
      facts: { 'first copy': describeUnusable(copies[0], 0), 'second copy': describeUnusable(copies[1], 1) },
      advice: 'Stage the template again; this unit cannot be trusted.',
    })
  const { copy, other } = current
  if (copy.state === 'newer')
    throw new AppError(
      'not-supported',
      `The unit was written by a newer Gantry (format version ${copy.formatVersion})`,
      { advice: 'Use that version or a later one to change this unit.' },
    )
  return { copy, other }
}

type Copies = readonly [HeaderCopy, HeaderCopy]
type UsableCopy = Extract<HeaderCopy, { generation: number }>

const isUsable = (copy: HeaderCopy): copy is UsableCopy => copy.state === 'ok' || copy.state === 'newer'

function decodeCopies(bytes: Uint8Array): Copies {
  const [first, second] = headerCopyOffsets
  return [
    decodeHeaderCopy(bytes.subarray(first, second)),
    decodeHeaderCopy(bytes.subarray(second, headerPartitionBytes)),
  ]
}

function currentOf([first, second]: Copies): { copy: UsableCopy; other: HeaderCopy } | undefined {
  if (isUsable(first) && !(isUsable(second) && second.generation > first.generation))
    return { copy: first, other: second }
  return isUsable(second) ? { copy: second, other: first } : undefined
}

const ordinals = ['first', 'second'] as const

function describeUnusable(copy: HeaderCopy, index: number): string {
  const name = `The ${ordinals[index]} copy of the header`
  return copy.state === 'broken' ? `${name} is damaged: ${copy.problem}` : `${name} is missing`
}

function problemsOfOther(copy: UsableCopy, other: HeaderCopy, index: number): string[] {
  if (!isUsable(other)) return [describeUnusable(other, index)]
  if (other.generation < copy.generation)
    return [
      `The ${ordinals[index]} copy of the header is older (generation ${other.generation} of ${copy.generation}): a write was cut off`,
    ]
  const same =
    copy.state === 'ok' && other.state === 'ok'
      ? copy.jsonSha256 === other.jsonSha256
      : copy.state === other.state
  return same ? [] : [`The two copies of the header differ, both with generation ${copy.generation}`]
}
