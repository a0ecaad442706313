import { MiB } from '#shared/units/bytes.ts'

/** A growing VHD of 2 MiB blocks, written from its specification and apart from the reader under test. */
export const vhdBlockBytes = 2 * MiB
const bitmapBytes = 512
const tableOffset = 1536

interface VhdPart {
  readonly index: number
  /** Sectors of the block that are written, with bytes of this value; the others hold bytes that do not count. */
  readonly first: number
  readonly count: number
  readonly fill: number
}

/** `expected`: what a guest sees. Parts beyond the end of the disk are cut off. Blocks lie in reverse order. */
export function makeVhd(
  virtualSizeBytes: number,
  parts: readonly VhdPart[],
): { bytes: Buffer; expected: Buffer; tableOffset: number } {
  const entries = Math.ceil(virtualSizeBytes / vhdBlockBytes)
  const inside = parts.filter(({ index }) => index < entries).toReversed()
  const expected = Buffer.alloc(virtualSizeBytes)
  const table = Buffer.alloc(512, 0xff)
  const blocks = inside.map(({ index, first, count, fill }, place) => {
    const block = Buffer.alloc(bitmapBytes + vhdBlockBytes, 0)
    block.fill(0xee, bitmapBytes)
    table.writeUInt32BE((tableOffset + 512 + place * block.length) / 512, index * 4)
    for (let sector = first; sector < first + count; sector++) {
      block[sector >> 3] = (block[sector >> 3] ?? 0) | (0x80 >> (sector & 7))
      block.fill(fill, bitmapBytes + sector * 512, bitmapBytes + sector * 512 + 512)
      const at = index * vhdBlockBytes + sector * 512
      if (at < virtualSizeBytes) expected.fill(fill, at, at + 512)
    }
    return block
  })
  const footer = Buffer.alloc(512)
  footer.write('conectix')
  footer.writeUInt32BE(2, 8)
  footer.writeUInt32BE(0x0001_0000, 12)
  footer.writeUInt32BE(512, 20)
  footer.write('win ', 28)
  footer.writeBigUInt64BE(BigInt(virtualSizeBytes), 40)
  footer.writeBigUInt64BE(BigInt(virtualSizeBytes), 48)
  footer.writeUInt32BE(3, 60)
  const header = Buffer.alloc(1024)
  header.write('cxsparse')
  header.fill(0xff, 8, 16)
  header.writeUInt32BE(tableOffset, 20)
  header.writeUInt32BE(0x0001_0000, 24)
  header.writeUInt32BE(entries, 28)
  header.writeUInt32BE(vhdBlockBytes, 32)
  const bytes = Buffer.concat([footer, header, table, ...blocks, footer])
  repairVhdChecksums(bytes)
  return { bytes, expected, tableOffset }
}

/** Computes the checksums of both footers and of the dynamic header anew. */
export function repairVhdChecksums(bytes: Buffer): void {
  const repair = (part: Buffer, at: number): void => {
    part.writeUInt32BE(0, at)
    part.writeUInt32BE(~part.reduce((sum, byte) => sum + byte, 0) >>> 0, at)
  }
  repair(bytes.subarray(0, 512), 64)
  repair(bytes.subarray(512, 1536), 36)
  repair(bytes.subarray(-512), 64)
}
