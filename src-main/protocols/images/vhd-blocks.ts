import { KiB, MiB, roundUp, sectorBytes } from '#shared/units/bytes.ts'
import { asciiAt, malformed, viewOf } from './image-facts.ts'

export const vhdDynamicHeaderBytes = 1024
const maxBlockBytes = 256 * MiB
const minBlockBytes = 4 * KiB
const maxTableEntries = 4 * MiB
const unusedEntry = 0xffff_ffff

/** The allocation table of a growing VHD. */
export interface VhdTable {
  readonly offset: number
  /** As many as the disk has blocks. */
  readonly entries: number
  readonly blockBytes: number
  /** Before the data of each block: one bit for each sector, the first in the highest bit. */
  readonly bitmapBytes: number
}

export interface VhdBlock {
  readonly index: number
  /** Of its bitmap, in the file. */
  readonly offset: number
}

/** Where the dynamic header is: bytes 16 to 23 of the footer. Throws bad-request. */
export function vhdDynamicHeaderOffset(name: string, footer: Uint8Array, sizeBytes: number): number {
  const offset = viewOf(name, footer, 512, sizeBytes - 512).getBigUint64(16)
  if (offset % BigInt(sectorBytes) !== 0n || offset + BigInt(vhdDynamicHeaderBytes) > BigInt(sizeBytes))
    throw malformed(name, `its footer puts the dynamic header at ${offset}`)
  return Number(offset)
}

/**
 * Dynamic header (Virtual Hard Disk Image Format Specification 1.0), big endian. Throws bad-request.
 *
 *     0 "cxsparse"   16 offset of the table (8)   24 version   28 entries   32 block size
 *     36 checksum: complement of the sum of all other bytes
 */
export function readVhdTable(
  name: string,
  header: Uint8Array,
  file: { readonly offset: number; readonly sizeBytes: number; readonly virtualSizeBytes: number },
): VhdTable {
  const view = viewOf(name, header, vhdDynamicHeaderBytes, file.offset)
  if (asciiAt(header, 0, 8) !== 'cxsparse') throw malformed(name, `no dynamic header at ${file.offset}`)
  const sum = header
    .subarray(0, vhdDynamicHeaderBytes)
    .reduce((total, byte, at) => total + (at >= 36 && at < 40 ? 0 : byte), 0)
  if (~sum >>> 0 !== view.getUint32(36))
    throw malformed(name, `the checksum of the dynamic header at ${file.offset} is wrong`)
  const blockBytes = view.getUint32(32)
  if (blockBytes < minBlockBytes || blockBytes > maxBlockBytes || (blockBytes & (blockBytes - 1)) !== 0)
    throw malformed(name, `its blocks would have ${blockBytes} bytes`)
  const entries = Math.ceil(file.virtualSizeBytes / blockBytes)
  if (entries > maxTableEntries || entries > view.getUint32(28))
    throw malformed(name, `its table has ${view.getUint32(28)} entries, its disk has ${entries} blocks`)
  const offset = view.getBigUint64(16)
  if (offset % BigInt(sectorBytes) !== 0n || offset + BigInt(entries * 4) > BigInt(file.sizeBytes))
    throw malformed(name, `its table of ${entries} entries would lie at ${offset}`)
  return {
    offset: Number(offset),
    entries,
    blockBytes,
    bitmapBytes: roundUp(blockBytes / sectorBytes / 8, sectorBytes),
  }
}

/** The blocks that are there, by place on the disk. Throws bad-request for one outside of the file or over another. */
export function readVhdBlocks(
  name: string,
  bytes: Uint8Array,
  table: VhdTable,
  sizeBytes: number,
): readonly VhdBlock[] {
  const view = viewOf(name, bytes, table.entries * 4, table.offset)
  const length = table.bitmapBytes + table.blockBytes
  const blocks: VhdBlock[] = []
  for (let index = 0; index < table.entries; index++) {
    const sector = view.getUint32(index * 4)
    if (sector === unusedEntry) continue
    const offset = sector * sectorBytes
    if (offset + length > sizeBytes) throw malformed(name, `its block ${index} would lie at ${offset}`)
    blocks.push({ index, offset })
  }
  let end = 0
  for (const { index, offset } of blocks.toSorted((a, b) => a.offset - b.offset)) {
    if (offset < end) throw malformed(name, `its block ${index} at ${offset} lies over another`)
    end = offset + length
  }
  return blocks
}

/** [first sector, number of sectors] of what a block's bitmap says is written. */
export function* writtenSectors(bitmap: Uint8Array, sectors: number): Generator<readonly [number, number]> {
  let from = 0
  const isWritten = (sector: number): boolean => ((bitmap[sector >> 3] ?? 0) & (0x80 >> (sector & 7))) !== 0
  for (let sector = 0; sector <= sectors; sector++) {
    if (sector < sectors && isWritten(sector)) continue
    if (sector > from) yield [from, sector - from]
    from = sector + 1
  }
}
