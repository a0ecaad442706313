import { GiB, KiB, MiB, roundUp } from '../../units/bytes.ts'
import type { FileSystemSpace } from './contract.ts'

const blockBytes = 4 * KiB
/** Inodes come in chunks of 64 of 512 bytes. */
const inodeBytes = 512
const inodeChunkBytes = 64 * inodeBytes
/** Directory entries in a leaf that is half full, with the longest name that a template's file may have. */
const directoryBytesPerFile = 512
/** Headers, free lists and B-tree roots of the allocation groups, the root directory. */
const fixedBytes = MiB

/**
 * XFS as mkfs.xfs 6.1 lays it out with our options and Linux 6 keeps blocks back: the log (at least 64 MiB, 1/2048 of
 * the size, at most 2 GiB), the reserve pool (5 %, at most 8192 blocks), and in every allocation group room for the
 * largest possible reference-count tree (half-full leaves of 168 records, one for each block) and free-inode tree
 * (126 records, each for a chunk of 8 blocks) with their inner nodes.
 */
export const xfsSpace: FileSystemSpace = {
  minimumBytes: 300 * MiB,
  blockBytes,
  ownBytes(sizeBytes, fileCount, dataBytes) {
    const log = Math.min(Math.max(64 * MiB, sizeBytes / 2048), 2 * GiB)
    const pool = Math.min(sizeBytes / 20, 8192 * blockBytes)
    const trees = sizeBytes * (1 / 168 + 1 / (126 * 8)) * (1 + 1 / 200)
    const inodes = roundUp(fileCount * inodeBytes, inodeChunkBytes) + inodeChunkBytes
    return Math.ceil(
      log + pool + trees + fixedBytes + inodes + fileCount * directoryBytesPerFile + extentBytes(dataBytes),
    )
  },
}

/** Leaves of the extent map: 250 extents a block; extents of 4 MiB on average. */
const extentBytes = (dataBytes: number): number => roundUp((dataBytes / GiB) * 4 * KiB, blockBytes)
