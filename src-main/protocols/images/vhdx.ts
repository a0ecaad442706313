import { KiB } from '#shared/units/bytes.ts'
import {
  asciiAt,
  checkedVirtualSize,
  malformed,
  unsupported,
  viewOf,
  type ByteRange,
  type ImageFacts,
  type Inspection,
} from './image-facts.ts'

const metadataRegionId = '8b7ca206-4790-4b9a-b8fe-575f050f886e'
const fileParametersId = 'caa16737-fa36-4d43-b3b6-33f0aa44e76b'
const virtualDiskSizeId = '2fa54224-cd1b-4876-b211-5dbed83bf4b8'
const headerOffsets = [64 * KiB, 128 * KiB] as const
const regionTableOffsets = [192 * KiB, 256 * KiB] as const
const tableBytes = 4 * KiB
const entryBytes = 32

/** GUIDs lie as in Windows: three little-endian groups, then bytes. */
function guidAt(bytes: Uint8Array, offset: number): string {
  const hex = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
    .map((at) => (bytes[offset + at] ?? 0).toString(16).padStart(2, '0'))
    .join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/**
 * VHDX ([MS-VHDX]), little endian. Headers at 64 and 128 KiB (log GUID at 48: not zero when the image was not closed),
 * region tables at 192 and 256 KiB, entries of 32 bytes from 16 (GUID, offset (8), length (4)), which lead to the
 * metadata table, entries of 32 bytes from 32 (GUID, offset in the region (4), length (4)).
 */
export function* readVhdx(name: string): Inspection {
  const [headerA, headerB, regionsA, regionsB] = yield [
    ...headerOffsets.map((offset): ByteRange => ({ offset, lengthBytes: 128 })),
    ...regionTableOffsets.map((offset): ByteRange => ({ offset, lengthBytes: tableBytes })),
  ]
  const unclean = isLogInUse(name, [headerA, headerB])
  const region =
    findRegion(name, regionsA, regionTableOffsets[0]) ?? findRegion(name, regionsB, regionTableOffsets[1])
  if (region === undefined) throw malformed(name, 'no region table names a metadata region')

  const [table] = yield [{ offset: region, lengthBytes: tableBytes }]
  const tableView = viewOf(name, table, 32, region)
  if (table === undefined || asciiAt(table, 0, 8) !== 'metadata')
    throw malformed(name, `no metadata table at offset ${region}`)
  const items = new Map<string, number>()
  for (let entry = 0; entry < tableView.getUint16(10, true); entry += 1) {
    const at = 32 + entry * entryBytes
    if (at + entryBytes > table.length) break
    items.set(guidAt(table, at), region + tableView.getUint32(at + 16, true))
  }
  const parametersAt = items.get(fileParametersId)
  const sizeAt = items.get(virtualDiskSizeId)
  if (parametersAt === undefined || sizeAt === undefined)
    throw malformed(name, 'its metadata lack the file parameters or the disk size')

  const [parameters, size] = yield [
    { offset: parametersAt, lengthBytes: 8 },
    { offset: sizeAt, lengthBytes: 8 },
  ]
  const flags = viewOf(name, parameters, 8, parametersAt).getUint32(4, true)
  if ((flags & 2) !== 0)
    throw unsupported(
      name,
      'is a differencing VHDX: it needs its parent, which would not be in the container',
      'Merge it into one disk first (Hyper-V: Merge-VHD or Convert-VHD).',
    )
  const facts: ImageFacts = {
    format: 'vhdx',
    virtualSizeBytes: checkedVirtualSize(name, viewOf(name, size, 8, sizeAt).getBigUint64(0, true)),
    grows: (flags & 1) === 0,
    snapshots: 0,
    unclean,
  }
  return facts
}

/** By the valid header with the higher sequence number (offset 8). */
function isLogInUse(name: string, headers: readonly (Uint8Array | undefined)[]): boolean {
  let best: { sequence: bigint; inUse: boolean } | undefined
  for (const [index, header] of headers.entries()) {
    const view = viewOf(name, header, 80, headerOffsets[index] ?? 0)
    if (header === undefined || asciiAt(header, 0, 4) !== 'head') continue
    const sequence = view.getBigUint64(8, true)
    if (best === undefined || sequence > best.sequence)
      best = { sequence, inUse: header.subarray(48, 64).some((byte) => byte !== 0) }
  }
  if (best === undefined) throw malformed(name, 'neither VHDX header has its signature')
  return best.inUse
}

function findRegion(name: string, table: Uint8Array | undefined, offset: number): number | undefined {
  const view = viewOf(name, table, 16, offset)
  if (table === undefined || asciiAt(table, 0, 4) !== 'regi') return undefined
  for (let entry = 0; entry < view.getUint32(8, true); entry += 1) {
    const at = 16 + entry * entryBytes
    if (at + entryBytes > table.length) return undefined
    if (guidAt(table, at) !== metadataRegionId) continue
    const region = view.getBigUint64(at + 16, true)
    if (region < BigInt(KiB * KiB) || region > BigInt(Number.MAX_SAFE_INTEGER))
      throw malformed(name, `the region table puts the metadata at ${region}`)
    return Number(region)
  }
  return undefined
}
