import { AppError } from '#shared/errors/app-error.ts'
import { encodeCdb } from '#main/protocols/scsi/cdb.ts'
import { decodeIdentification, designatorTypes } from '#main/protocols/scsi/designators.ts'
import type { Designator } from '#main/protocols/scsi/designators.ts'
import {
  copySegmentType,
  copyTargetType,
  decodeCopyLimits,
  encodeCopyRequest,
} from '#main/protocols/scsi/extended-copy.ts'
import type { CopyTarget } from '#main/protocols/scsi/extended-copy.ts'
import { vpdPage } from '#main/protocols/scsi/vpd.ts'
import type { Command, Commander } from './commander.ts'
import { isUnsupported, query, readPage } from './lun-facts.ts'

/** Block numbers and counts. */
export interface CopyRange {
  /** 0 to 255; of no other copy that is under way on the session. */
  readonly listId: number
  readonly from: number
  readonly to: number
  readonly blocks: number
}

const operatingParameters = 3
const limitsBytes = 1024
const mostBlocks = 0xffff
/** Of this LUN with itself; the first and only target descriptor of a request. */
const thisLun = 0
/** Names that a target descriptor holds, in binary. */
const copyNames: readonly Designator['type'][] = ['naa', 'eui64']

/**
 * Copies inside a LUN by the device itself: EXTENDED COPY, LID1, one segment for each command, not longer than the
 * device's operating parameters say (SPC-4, 6.4, 6.28.3). One that fails has done a part of it. Throws not-supported
 * when the LUN has no name that a copy can be told by.
 */
export async function copyBlocks(
  commander: Commander,
  change: (command: Omit<Command, 'changes'>) => Promise<unknown>,
  blockBytes: number,
  { listId, from, to, blocks }: CopyRange,
  signal: AbortSignal | undefined,
): Promise<void> {
  const target = await targetOf(commander, blockBytes, signal)
  const most = await segmentBlocks(commander, blockBytes, signal)
  for (let done = 0; done < blocks; done += most) {
    const segment = {
      type: copySegmentType,
      source: thisLun,
      destination: thisLun,
      blocks: Math.min(most, blocks - done),
      sourceLba: from + done,
      destinationLba: to + done,
    }
    const out = Buffer.from(encodeCopyRequest({ listId, targets: [target], segments: [segment] }))
    const cdb = encodeCdb({ kind: 'extended-copy', parameterLength: out.length })
    await change({ what: 'extended copy', cdb, out })
  }
}

async function targetOf(
  commander: Commander,
  blockBytes: number,
  signal: AbortSignal | undefined,
): Promise<CopyTarget> {
  const names = decodeIdentification(await readPage(commander, vpdPage.identification, signal)).filter(
    ({ of, codeSet }) => of === 'lun' && codeSet === 1,
  )
  const [name] = copyNames.flatMap((type) => names.filter((candidate) => candidate.type === type))
  if (name === undefined)
    throw new AppError('not-supported', 'The LUN has no name by which the device could copy its blocks')
  return {
    type: copyTargetType,
    isNull: false,
    designatorType: designatorTypes.indexOf(name.type),
    association: 0,
    designator: name.bytes,
    blockBytes,
  }
}

/** A device that does not tell its limits, or has none (0), gets what a segment can hold. */
async function segmentBlocks(
  commander: Commander,
  blockBytes: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const cdb = encodeCdb({
    kind: 'receive-copy-results',
    serviceAction: operatingParameters,
    allocationLength: limitsBytes,
  })
  try {
    const { maxSegmentBytes } = decodeCopyLimits(
      await query(commander, 'copy limits', cdb, limitsBytes, signal),
    )
    if (maxSegmentBytes === 0) return mostBlocks
    return Math.max(1, Math.min(mostBlocks, Math.floor(maxSegmentBytes / blockBytes)))
  } catch (error) {
    if (isUnsupported(error)) return mostBlocks
    throw error
  }
}
