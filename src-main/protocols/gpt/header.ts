import { sectorBytes } from '#shared/units/bytes.ts'
import { crc32 } from '../crc/crc32.ts'
import { formatGuid } from './guid.ts'
import { malformed, slice, viewOf } from './malformed.ts'

export interface GptHeader {
  readonly diskGuid: string
  /** Where this copy stands, and where the other. */
  readonly currentLba: number
  readonly otherLba: number
  readonly firstUsableLba: number
  readonly lastUsableLba: number
  readonly entriesLba: number
  readonly entryCount: number
  readonly entryBytes: number
  readonly entriesCrc: number
}

const signature = 0x5452415020494645n // "EFI PART"
const headerMinBytes = 92
/** Byte offsets stay exact numbers below it: 8 PiB with sectors of 512 bytes. */
const lbaLimit = 2n ** 44n
/** What the whole table of entries may take: 32 times what every tool writes (128 entries of 128 bytes). */
const entriesLimitBytes = 512 * 1024

/**
 * The GPT header (UEFI 2.10, table 5.5), little endian. Nothing in it is believed before its CRC is right, and no
 * length even then. Throws device-rejected with the offset.
 *
 *     0      8   "EFI PART"              48      8   last usable LBA
 *     8      4   revision, 1.0           56     16   disk GUID
 *     12     4   header size, 92..512    72      8   LBA of the entries
 *     16     4   CRC-32 of the header    80      4   number of entries
 *     24     8   LBA of this header      84      4   bytes of an entry, 128 * 2^n
 *     32     8   LBA of the other        88      4   CRC-32 of the entries
 *     40     8   first usable LBA
 * @param lba where the sector was read from
 */
export function decodeGptHeader(bytes: Uint8Array, lba: number): GptHeader {
  const sector = slice(bytes, 'GPT header', 0, sectorBytes)
  const view = viewOf(sector)
  if (view.getBigUint64(0, true) !== signature) throw malformed('GPT header', 0, '"EFI PART"', 'other bytes')
  const revision = view.getUint32(8, true)
  if (revision !== 0x00010000)
    throw malformed('revision of the GPT', 8, '0x10000', `0x${revision.toString(16)}`)
  const lengthBytes = view.getUint32(12, true)
  if (lengthBytes < headerMinBytes || lengthBytes > sectorBytes)
    throw malformed('length of the GPT header', 12, `${headerMinBytes} to ${sectorBytes}`, lengthBytes)

  // A copy: slice() of a Buffer would share its memory.
  const cleared = new Uint8Array(sector.subarray(0, lengthBytes))
  cleared.fill(0, 16, 20)
  const crc = crc32(cleared)
  if (view.getUint32(16, true) !== crc)
    throw malformed('CRC of the GPT header', 16, crc.toString(16), view.getUint32(16, true).toString(16))

  const lbaAt = (offset: number, what: string): number => {
    const value = view.getBigUint64(offset, true)
    if (value >= lbaLimit) throw malformed(what, offset, 'an LBA below 2^44', String(value))
    return Number(value)
  }
  const header: GptHeader = {
    currentLba: lbaAt(24, 'LBA of this GPT header'),
    otherLba: lbaAt(32, 'LBA of the other GPT header'),
    firstUsableLba: lbaAt(40, 'first usable LBA'),
    lastUsableLba: lbaAt(48, 'last usable LBA'),
    diskGuid: formatGuid(sector.subarray(56, 72)),
    entriesLba: lbaAt(72, 'LBA of the GPT entries'),
    entryCount: view.getUint32(80, true),
    entryBytes: view.getUint32(84, true),
    entriesCrc: view.getUint32(88, true),
  }
  if (header.currentLba !== lba) throw malformed('LBA of this GPT header', 24, String(lba), header.currentLba)
  if (header.firstUsableLba > header.lastUsableLba)
    throw malformed('last usable LBA', 48, `at least ${header.firstUsableLba}`, header.lastUsableLba)
  const { entryBytes, entryCount } = header
  if (entryBytes < 128 || (entryBytes & (entryBytes - 1)) !== 0)
    throw malformed('bytes of a GPT entry', 84, '128 * 2^n', entryBytes)
  if (entryCount < 1 || entryCount * entryBytes > entriesLimitBytes)
    throw malformed(
      'number of GPT entries',
      80,
      `1 to ${Math.floor(entriesLimitBytes / entryBytes)}`,
      entryCount,
    )
  return header
}
