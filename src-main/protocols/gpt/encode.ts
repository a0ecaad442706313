import { Buffer } from 'node:buffer'
import { AppError } from '#shared/errors/app-error.ts'
import { sectorBytes } from '#shared/units/bytes.ts'
import { crc32 } from '../crc/crc32.ts'
import type { GptPartition } from './gpt.ts'
import { parseGuid } from './guid.ts'
import type { GptHeader } from './header.ts'

export interface NewGpt {
  readonly diskBytes: number
  readonly diskGuid: string
  /** By place in the table; inside the usable sectors and apart from each other. */
  readonly partitions: readonly Omit<GptPartition, 'number'>[]
}

const entryCount = 128
const entryBytes = 128
const entriesSectors = (entryCount * entryBytes) / sectorBytes
/** What a disk holds besides partitions: first sector, two headers, two tables. */
const firstUsableLba = 2 + entriesSectors
const nameUnits = 36

/**
 * A new table of 128 entries: what goes to the beginning of the disk (34 sectors) and to its end (33 sectors). Throws
 * bad-request for partitions that are not inside the disk or overlap.
 */
export function encodeGpt({ diskBytes, diskGuid, partitions }: NewGpt): {
  readonly start: Uint8Array
  readonly end: Uint8Array
} {
  const lastLba = diskBytes / sectorBytes - 1
  const lastUsableLba = lastLba - entriesSectors - 1
  requirePlaces(partitions, lastUsableLba)
  const entries = encodeEntries(partitions)
  const common = {
    diskGuid,
    firstUsableLba,
    lastUsableLba,
    entryCount,
    entryBytes,
    entriesCrc: crc32(entries),
  }
  const primary = encodeGptHeader({ ...common, currentLba: 1, otherLba: lastLba, entriesLba: 2 })
  const backup = encodeGptHeader({
    ...common,
    currentLba: lastLba,
    otherLba: 1,
    entriesLba: lastLba - entriesSectors,
  })
  return {
    start: Buffer.concat([encodeProtectiveMbr(diskBytes), primary, entries]),
    end: Buffer.concat([entries, backup]),
  }
}

/** One sector as decodeGptHeader reads it; the checksum is computed, the rest is taken as it is. */
export function encodeGptHeader(header: GptHeader): Uint8Array {
  const bytes = Buffer.alloc(sectorBytes)
  const length = 92
  bytes.write('EFI PART', 'latin1')
  bytes.writeUInt32LE(0x0001_0000, 8)
  bytes.writeUInt32LE(length, 12)
  bytes.writeBigUInt64LE(BigInt(header.currentLba), 24)
  bytes.writeBigUInt64LE(BigInt(header.otherLba), 32)
  bytes.writeBigUInt64LE(BigInt(header.firstUsableLba), 40)
  bytes.writeBigUInt64LE(BigInt(header.lastUsableLba), 48)
  bytes.set(parseGuid(header.diskGuid), 56)
  bytes.writeBigUInt64LE(BigInt(header.entriesLba), 72)
  bytes.writeUInt32LE(header.entryCount, 80)
  bytes.writeUInt32LE(header.entryBytes, 84)
  bytes.writeUInt32LE(header.entriesCrc, 88)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, length)), 16)
  return bytes
}

/** Sectors that a protective MBR names: all but the first, as far as 32 bits go. */
export const protectedSectors = (diskBytes: number): number =>
  Math.min(diskBytes / sectorBytes - 1, 0xffff_ffff)

/**
 * The first sector of a disk with a GPT (UEFI 2.10, table 5.4).
 * @param before what stands there: its boot code (440 bytes) stays
 */
export function encodeProtectiveMbr(diskBytes: number, before?: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(sectorBytes)
  if (before !== undefined) bytes.set(before.subarray(0, 440))
  bytes.set([0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff], 446)
  bytes.writeUInt32LE(1, 454)
  bytes.writeUInt32LE(protectedSectors(diskBytes), 458)
  bytes.writeUInt16LE(0xaa55, 510)
  return bytes
}

/** UEFI 2.10, table 5.6: type, unique GUID, first LBA, last LBA, attributes (none), name in UTF-16LE. */
function encodeEntries(partitions: NewGpt['partitions']): Uint8Array {
  const entries = Buffer.alloc(entryCount * entryBytes)
  for (const [index, { type, guid, firstLba, sectors, name }] of partitions.entries()) {
    const entry = entries.subarray(index * entryBytes, (index + 1) * entryBytes)
    entry.set(parseGuid(type), 0)
    entry.set(parseGuid(guid), 16)
    entry.writeBigUInt64LE(BigInt(firstLba), 32)
    entry.writeBigUInt64LE(BigInt(firstLba + sectors - 1), 40)
    entry.write(name.slice(0, nameUnits), 56, 'utf16le')
  }
  return entries
}

function requirePlaces(partitions: NewGpt['partitions'], lastUsableLba: number): void {
  if (partitions.length > entryCount)
    throw new AppError('bad-request', `${partitions.length} partitions do not fit: a table has ${entryCount}`)
  let next = firstUsableLba
  for (const { name, firstLba, sectors } of partitions.toSorted((a, b) => a.firstLba - b.firstLba)) {
    if (firstLba < next || sectors < 1 || firstLba + sectors - 1 > lastUsableLba)
      throw new AppError(
        'bad-request',
        `Partition "${name}" (${sectors} sectors from LBA ${firstLba}) does not lie between LBA ${next} and ${lastUsableLba}`,
      )
    next = firstLba + sectors
  }
}
