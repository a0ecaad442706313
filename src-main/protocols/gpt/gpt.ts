import { AppError } from '#shared/errors/app-error.ts'
import { sectorBytes } from '#shared/units/bytes.ts'
import { crc32 } from '../crc/crc32.ts'
import { formatGuid } from './guid.ts'
import { decodeGptHeader } from './header.ts'
import type { GptHeader } from './header.ts'
import { malformed, slice, viewOf } from './malformed.ts'
import { decodeMbr } from './mbr.ts'

export interface GptPartition {
  /** Its place in the table, from 1. */
  readonly number: number
  readonly type: string
  readonly guid: string
  readonly firstLba: number
  readonly sectors: number
  readonly name: string
}

export interface Gpt {
  readonly header: GptHeader
  /** The used entries by place in the table; none overlaps another. */
  readonly partitions: readonly GptPartition[]
  /** The whole table as it lies there, with what the partitions above do not tell (attributes). */
  readonly entries: Uint8Array
}

const primaryLba = 1
const unusedType = '00000000-0000-0000-0000-000000000000'

/** Whether a GPT header seems to stand at the beginning of these bytes, whatever its state. */
export const bearsGptSignature = (bytes: Uint8Array): boolean =>
  bytes.length >= 8 && String.fromCharCode(...bytes.subarray(0, 8)) === 'EFI PART'

/**
 * The primary GPT with its protective MBR.
 * @param bytes the disk from its first sector; usually 34 sectors are needed
 * @throws device-rejected when anything does not verify, not-supported for 4096-byte sectors
 */
export function decodePrimaryGpt(bytes: Uint8Array): Gpt {
  if (!bearsGptSignature(bytes.subarray(sectorBytes)) && bearsGptSignature(bytes.subarray(4096)))
    throw new AppError('not-supported', 'The GPT was made for sectors of 4096 bytes; units have 512', {
      advice: 'Attach the LUN with 512-byte logical sectors.',
    })
  if (!decodeMbr(bytes).protective)
    throw malformed('protective MBR', 446, 'an entry of type 0xee', 'none: an MBR partition table')
  return decodePrimaryTable(bytes)
}

/** As {@link decodePrimaryGpt}, whatever stands in the first sector. */
export function decodePrimaryTable(bytes: Uint8Array): Gpt {
  const header = decodeGptHeader(slice(bytes, 'GPT header', sectorBytes, sectorBytes), primaryLba)
  const entriesOffset = header.entriesLba * sectorBytes
  const entriesBytes = header.entryCount * header.entryBytes
  if (header.entriesLba < 2 || entriesOffset + entriesBytes > header.firstUsableLba * sectorBytes)
    throw malformed(
      'LBA of the GPT entries',
      sectorBytes + 72,
      `2 up to the first usable LBA ${header.firstUsableLba}`,
      header.entriesLba,
    )
  return decodeGptEntries(slice(bytes, 'GPT entries', entriesOffset, entriesBytes), header)
}

/**
 * The backup GPT: entries, then the header in the last sector of the disk.
 * @param end the last bytes of the disk; usually 33 sectors are needed
 * @param diskBytes size of the disk
 * @throws device-rejected when anything does not verify
 */
export function decodeBackupGpt(end: Uint8Array, diskBytes: number): Gpt {
  const headerOffset = end.length - sectorBytes
  if (headerOffset < 0) throw malformed('backup GPT header', 0, `${sectorBytes} bytes`, end.length)
  const lba = diskBytes / sectorBytes - 1
  const header = decodeGptHeader(end.subarray(headerOffset), lba)
  const entriesBytes = header.entryCount * header.entryBytes
  const entriesOffset = header.entriesLba * sectorBytes - (diskBytes - end.length)
  if (
    header.entriesLba <= header.lastUsableLba ||
    entriesOffset < 0 ||
    entriesOffset + entriesBytes > headerOffset
  )
    throw malformed(
      'LBA of the GPT entries',
      headerOffset + 72,
      `after the last usable LBA ${header.lastUsableLba} and before the header`,
      header.entriesLba,
    )
  return decodeGptEntries(slice(end, 'GPT entries', entriesOffset, entriesBytes), header)
}

/**
 * The entries (UEFI 2.10, table 5.6): type GUID, unique GUID, first LBA, last LBA, attributes, 36 UTF-16LE units of
 * name. Offsets in errors count from the first entry.
 */
function decodeGptEntries(bytes: Uint8Array, header: GptHeader): Gpt {
  const crc = crc32(bytes)
  if (crc !== header.entriesCrc)
    throw malformed('CRC of the GPT entries', 0, header.entriesCrc.toString(16), crc.toString(16))
  const partitions: GptPartition[] = []
  for (let index = 0; index < header.entryCount; index++) {
    const offset = index * header.entryBytes
    const entry = bytes.subarray(offset, offset + header.entryBytes)
    const type = formatGuid(entry.subarray(0, 16))
    if (type === unusedType) continue
    const view = viewOf(entry)
    const firstLba = view.getBigUint64(32, true)
    const lastLba = view.getBigUint64(40, true)
    if (firstLba < BigInt(header.firstUsableLba) || firstLba > BigInt(header.lastUsableLba))
      throw malformed('first LBA of the partition', offset + 32, usable(header), String(firstLba))
    if (lastLba < firstLba || lastLba > BigInt(header.lastUsableLba))
      throw malformed('last LBA of the partition', offset + 40, usable(header), String(lastLba))
    partitions.push({
      number: index + 1,
      type,
      guid: formatGuid(entry.subarray(16, 32)),
      firstLba: Number(firstLba),
      sectors: Number(lastLba - firstLba) + 1,
      name: decodeName(view),
    })
  }
  requireDisjoint(partitions, header)
  return { header, partitions, entries: bytes }
}

const usable = (header: GptHeader): string => `${header.firstUsableLba} to ${header.lastUsableLba}`

function decodeName(entry: DataView): string {
  const units: number[] = []
  for (let offset = 56; offset < 128; offset += 2) {
    const unit = entry.getUint16(offset, true)
    if (unit === 0) break
    units.push(unit)
  }
  return String.fromCharCode(...units).toWellFormed()
}

function requireDisjoint(partitions: readonly GptPartition[], header: GptHeader): void {
  const byPlace = partitions.toSorted((a, b) => a.firstLba - b.firstLba)
  for (const [index, partition] of byPlace.entries()) {
    const before = byPlace[index - 1]
    if (before !== undefined && before.firstLba + before.sectors > partition.firstLba)
      throw malformed(
        `partition ${partition.number}`,
        (partition.number - 1) * header.entryBytes + 32,
        `a beginning after the end of partition ${before.number}`,
        partition.firstLba,
      )
  }
}
