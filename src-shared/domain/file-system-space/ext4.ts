import { GiB, KiB, MiB, roundUp } from '../../units/bytes.ts'
import type { FileSystemSpace } from './contract.ts'

const blockBytes = 4 * KiB
const inodeBytes = 256
const bytesPerInode = MiB
const groupBlocks = 8 * blockBytes
const descriptorsPerBlock = blockBytes / 64
/** Inodes 1 to 10 and lost+found. */
const ownInodes = 11
/** Directory index, half full, with the longest name that a template's file may have. */
const directoryBytesPerFile = 512
/** Root directory, lost+found, resize inode; and a directory that grows by whole blocks. */
const fixedBytes = 128 * KiB

/**
 * ext4, counted block by block as mke2fs of e2fsprogs 1.47 lays it out with our options (libext2fs initialize.c,
 * mkjournal.c; mke2fs.c), and what Linux keeps back for delayed allocation (fs/ext4/super.c).
 */
export const ext4Space: FileSystemSpace = {
  minimumBytes: 8 * MiB,
  blockBytes,
  ownBytes(sizeBytes, fileCount, dataBytes) {
    const { blocks, lostBlocks, groups, inodesPerGroup } = groupsOf(sizeBytes)
    const inodeTableBlocks = (inodesPerGroup * inodeBytes) / blockBytes
    const descriptorBlocks = Math.ceil(groups / descriptorsPerBlock)
    const perGroup = 2 + inodeTableBlocks
    const perBackup = 1 + descriptorBlocks + reservedDescriptorBlocks(blocks, descriptorBlocks)
    const ownBlocks =
      lostBlocks +
      groups * perGroup +
      backupCount(groups) * perBackup +
      journalBlocks(blocks) +
      Math.min(Math.floor(blocks / 50), 4096)
    const missingInodes = Math.max(0, fileCount + ownInodes - groups * inodesPerGroup)
    return (
      ownBlocks * blockBytes +
      fixedBytes +
      fileCount * directoryBytesPerFile +
      extentBytes(dataBytes) +
      missingInodes * bytesPerInode
    )
  },
}

/** Leaves of the extent tree: 340 extents a block; extents of 4 MiB on average, a thirtieth of what they can be. */
const extentBytes = (dataBytes: number): number => roundUp((dataBytes / GiB) * 4 * KiB, blockBytes)

interface Groups {
  readonly blocks: number
  /** At the end, where they are too few for a group of their own. */
  readonly lostBlocks: number
  readonly groups: number
  readonly inodesPerGroup: number
}

function groupsOf(sizeBytes: number): Groups {
  const all = Math.floor(sizeBytes / blockBytes)
  const inodes = (all * blockBytes) / bytesPerInode
  const inodesPerBlock = blockBytes / inodeBytes
  let blocks = all
  for (;;) {
    const groups = Math.ceil(blocks / groupBlocks)
    // The number of inodes stays when the last group is left out: each of the others then has more.
    const inodesPerGroup = roundUp(Math.ceil(inodes / groups), inodesPerBlock)
    const rest = blocks % groupBlocks
    const backup = isBackup(groups - 1)
      ? 1 + Math.ceil(groups / descriptorsPerBlock) + reservedDescriptorBlocks(blocks, 0)
      : 0
    if (rest === 0 || groups === 1 || rest >= 2 + inodesPerGroup / inodesPerBlock + backup + 50)
      return { blocks, lostBlocks: all - blocks, groups, inodesPerGroup }
    blocks -= rest
  }
}

/** sparse_super: groups 0 and 1 and the powers of 3, 5 and 7 have a copy of the superblock and the descriptors. */
const isBackup = (group: number): boolean => group <= 1 || [3, 5, 7].some((base) => isPower(group, base))
function isPower(value: number, base: number): boolean {
  let power = base
  while (power < value) power *= base
  return power === value
}
function backupCount(groups: number): number {
  let count = Math.min(groups, 2)
  for (const base of [3, 5, 7]) for (let group = base; group < groups; group *= base) count++
  return count
}

/** resize_inode: room for the descriptors of 1024 times the size, at most what one indirect block can name. */
function reservedDescriptorBlocks(blocks: number, descriptorBlocks: number): number {
  const mostBlocks = Math.min(blocks * 1024, 0xffff_ffff)
  const needed = Math.ceil(Math.ceil(mostBlocks / groupBlocks) / descriptorsPerBlock) - descriptorBlocks
  return Math.max(0, Math.min(needed, blockBytes / 4))
}

/** From so many blocks on, the journal has so many. */
const journalSteps = [
  [32 * MiB, 262_144],
  [16 * MiB, 131_072],
  [8 * MiB, 65_536],
  [4 * MiB, 32_768],
  [512 * KiB, 16_384],
  [256 * KiB, 8192],
  [32 * KiB, 4096],
  [0, 1024],
] as const
const journalBlocks = (blocks: number): number => journalSteps.find(([from]) => blocks >= from)?.[1] ?? 0
