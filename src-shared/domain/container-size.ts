import { AppError } from '../errors/app-error.ts'
import { MiB, roundUp } from '../units/bytes.ts'
import { fileSystemSpace } from './file-system-space/index.ts'
import type { FileSystemType } from './storage.ts'
import { dataOffsetBytes, trailerBytes } from './unit-layout.ts'

export interface ContainerContent {
  readonly files: readonly {
    readonly sizeBytes: number
    /** What the file can grow to once the VM writes (see roomFor); counts when it is more than `sizeBytes`. */
    readonly growsToBytes?: number
  }[]
  readonly fileSystem: FileSystemType
  /** Room beyond the data (A1), default 10. */
  readonly headroomPercent?: number
}

export interface ContainerSize {
  readonly sizeBytes: number
  /** They add up to `sizeBytes`. */
  readonly parts: {
    /** The files, each in whole blocks. */
    readonly dataBytes: number
    readonly headroomBytes: number
    /** What the file system keeps for itself. */
    readonly metadataBytes: number
    /** Partition table, header partition, backup table. */
    readonly partitionBytes: number
    /** Left over by rounding, and by the smallest size that the file system can have. */
    readonly spareBytes: number
  }
}

/**
 * The size of a container (A1) in which all the data and the headroom fit for certain once it is partitioned and made
 * a file system on with mkfsArguments(): 10 % alone would not do (XFS takes 18 % of 512 MiB for itself).
 * @param alignmentBytes the array's; the size is a multiple of it
 * @throws bad-request for sizes that are none
 */
export function containerSize(
  content: ContainerContent & { readonly alignmentBytes: number },
): ContainerSize {
  const { alignmentBytes } = content
  if (!Number.isSafeInteger(alignmentBytes) || alignmentBytes < 1)
    throw new AppError('bad-request', `${alignmentBytes} is not an alignment in bytes`)
  const needed = neededBytes(content)
  let sizeBytes = roundUp(needed.dataBytes + dataOffsetBytes + trailerBytes, alignmentBytes)
  // What the file system takes grows more slowly than its size, so adding what is missing comes to an end.
  for (;;) {
    const missing = missingBytes(sizeBytes, content, needed)
    if (missing <= 0) break
    sizeBytes = roundUp(sizeBytes + missing, alignmentBytes)
  }

  const fileSystemBytes = fileSystemBytesOf(sizeBytes)
  const metadataBytes = ownBytes(fileSystemBytes, content, needed)
  const { dataBytes, headroomBytes } = needed
  return {
    sizeBytes,
    parts: {
      dataBytes,
      headroomBytes,
      metadataBytes,
      partitionBytes: dataOffsetBytes + trailerBytes,
      spareBytes: sizeBytes - dataBytes - headroomBytes - metadataBytes - dataOffsetBytes - trailerBytes,
    },
  }
}

/** Whether data and headroom fit in a container of this size, for sizes that the user chose. */
export const containerHolds = (sizeBytes: number, content: ContainerContent): boolean =>
  missingBytes(sizeBytes, content, neededBytes(content)) <= 0

interface Needed {
  readonly dataBytes: number
  readonly headroomBytes: number
}

function neededBytes({ files, fileSystem, headroomPercent = 10 }: ContainerContent): Needed {
  const { blockBytes } = fileSystemSpace[fileSystem]
  let dataBytes = 0
  for (const { sizeBytes, growsToBytes = 0 } of files)
    dataBytes += roundUp(Math.max(requireSize(sizeBytes), requireSize(growsToBytes)), blockBytes)
  if (!(headroomPercent >= 0 && headroomPercent <= 1000))
    throw new AppError('bad-request', `A headroom of ${headroomPercent} % is not between 0 and 1000`)
  const headroomBytes = roundUp((dataBytes * headroomPercent) / 100, blockBytes)
  return { dataBytes: requireSize(dataBytes), headroomBytes: requireSize(headroomBytes) }
}

/** Far below the numbers that are still exact, so that sums of such sizes are sizes too: 1 PiB. */
const largestBytes = 1024 ** 5

function requireSize(bytes: number): number {
  if (!(bytes >= 0 && bytes <= largestBytes))
    throw new AppError('bad-request', `${bytes} bytes are not a size that a container can have`)
  return bytes
}

/** How much larger the container must be at least; 0 or less: everything fits. */
function missingBytes(sizeBytes: number, content: ContainerContent, needed: Needed): number {
  const available = fileSystemBytesOf(sizeBytes)
  const { minimumBytes } = fileSystemSpace[content.fileSystem]
  if (available < minimumBytes) return minimumBytes - available
  return needed.dataBytes + needed.headroomBytes + ownBytes(available, content, needed) - available
}

/** Partitions end on whole MiB. */
const fileSystemBytesOf = (sizeBytes: number): number =>
  Math.floor((sizeBytes - dataOffsetBytes - trailerBytes) / MiB) * MiB

const ownBytes = (available: number, { files, fileSystem }: ContainerContent, needed: Needed): number =>
  Math.ceil(
    fileSystemSpace[fileSystem].ownBytes(available, files.length, needed.dataBytes + needed.headroomBytes),
  )
