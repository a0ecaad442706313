import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { parseGuid } from '#main/protocols/gpt/guid.ts'

/** Encoders of partition tables for tests: they can lie, and are written apart from the product's. */

export interface TestPartition {
  readonly type: string
  readonly firstLba: number
  readonly sectors: number
  readonly name?: string
}

export interface TestGpt {
  readonly diskSectors: number
  readonly partitions: readonly TestPartition[]
  /** Changes header or entries before the checksums are computed: a consistent lie. */
  readonly lie?: (header: Buffer, entries: Buffer) => void
}

const entryCount = 128
const entryBytes = 128
const entriesBytes = entryCount * entryBytes

/** Sectors 0 to 33 of a disk with this GPT, or (backup) its last 33. */
export function encodeGpt({ diskSectors, partitions, lie }: TestGpt, backup = false): Buffer {
  const entries = Buffer.alloc(entriesBytes)
  for (const [index, { type, firstLba, sectors, name = '' }] of partitions.entries()) {
    const entry = entries.subarray(index * entryBytes, (index + 1) * entryBytes)
    entry.set(parseGuid(type), 0)
    entry.fill(index + 1, 16, 32)
    entry.writeBigUInt64LE(BigInt(firstLba), 32)
    entry.writeBigUInt64LE(BigInt(firstLba + sectors - 1), 40)
    entry.write(name, 56, 72, 'utf16le')
  }
  const lba = backup ? diskSectors - 1 : 1
  const header = Buffer.alloc(512)
  header.write('EFI PART')
  header.writeUInt32LE(0x10000, 8)
  header.writeUInt32LE(92, 12)
  header.writeBigUInt64LE(BigInt(lba), 24)
  header.writeBigUInt64LE(BigInt(diskSectors - lba), 32)
  header.writeBigUInt64LE(34n, 40)
  header.writeBigUInt64LE(BigInt(diskSectors - 34), 48)
  header.fill(7, 56, 72)
  header.writeBigUInt64LE(BigInt(backup ? diskSectors - 33 : 2), 72)
  header.writeUInt32LE(entryCount, 80)
  header.writeUInt32LE(entryBytes, 84)
  lie?.(header, entries)
  header.writeUInt32LE(crc32(entries), 88)
  header.writeUInt32LE(crc32(header.subarray(0, Math.min(512, header.readUInt32LE(12)))), 16)
  const protective = encodeMbr([{ type: '0xee', firstLba: 1, sectors: diskSectors - 1 }])
  return backup ? Buffer.concat([entries, header]) : Buffer.concat([protective, header, entries])
}

/** Computes both checksums of a primary GPT anew, as far as its own numbers lie inside the bytes. */
export function repairGptChecksums(disk: Buffer): void {
  const header = disk.subarray(512, 1024)
  const from = Number(header.readBigUInt64LE(72)) * 512
  const length = header.readUInt32LE(80) * header.readUInt32LE(84)
  if (from + length <= disk.length) header.writeUInt32LE(crc32(disk.subarray(from, from + length)), 88)
  header.fill(0, 16, 20)
  header.writeUInt32LE(crc32(header.subarray(0, Math.min(512, header.readUInt32LE(12)))), 16)
}

/** The first sector; types are "0x83". */
export function encodeMbr(partitions: readonly TestPartition[]): Buffer {
  const sector = Buffer.alloc(512)
  sector.writeUInt32LE(0x47414e54, 440)
  for (const [index, { type, firstLba, sectors }] of partitions.entries()) {
    sector.writeUInt8(Number(type), 450 + index * 16)
    sector.writeUInt32LE(firstLba, 454 + index * 16)
    sector.writeUInt32LE(sectors, 458 + index * 16)
  }
  sector.writeUInt16LE(0xaa55, 510)
  return sector
}
