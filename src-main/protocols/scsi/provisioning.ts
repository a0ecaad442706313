import { malformed, put, slice, u16, u32, u64, u8 } from './fields.ts'

export interface BlockExtent {
  readonly lba: number
  readonly blocks: number
}

/** SBC-3, 5.5.2. `mapped` is also what is not known. */
export const provisioningStates = ['mapped', 'deallocated', 'anchored'] as const
export interface LbaStatus extends BlockExtent {
  readonly state: (typeof provisioningStates)[number]
}

/** UNMAP parameter list (SBC-3, 5.28.2): two lengths, reserved, 16 bytes for each extent. */
export function encodeUnmapList(extents: readonly BlockExtent[]): Uint8Array {
  const bytes = new Uint8Array(8 + 16 * extents.length)
  put(bytes, 0, 2, bytes.length - 2)
  put(bytes, 2, 2, 16 * extents.length)
  for (const [index, { lba, blocks }] of extents.entries()) {
    put(bytes, 8 + 16 * index, 8, lba)
    put(bytes, 16 + 16 * index, 4, blocks)
  }
  return bytes
}

/** Throws device-rejected when a length does not fit the list. */
export function decodeUnmapList(bytes: Uint8Array): BlockExtent[] {
  slice(bytes, 'UNMAP parameter list', 0, 8)
  const dataLength = u16(bytes, 0)
  const length = u16(bytes, 2)
  if (dataLength + 2 > bytes.length || dataLength + 2 < 8 + length)
    throw malformed('length of the UNMAP list', 0, `${6 + length} to ${bytes.length - 2}`, dataLength)
  if (length % 16 !== 0) throw malformed('length of the UNMAP extents', 2, 'a multiple of 16', length)
  const extents: BlockExtent[] = []
  for (let at = 8; at < 8 + length; at += 16)
    extents.push({ lba: u64(bytes, at), blocks: u32(bytes, at + 8) })
  return extents
}

/** GET LBA STATUS data (SBC-3, 5.5.2): length without its own 4 bytes, reserved, 16 bytes for each extent. */
export function encodeLbaStatus(extents: readonly LbaStatus[]): Uint8Array {
  const bytes = new Uint8Array(8 + 16 * extents.length)
  put(bytes, 0, 4, bytes.length - 4)
  for (const [index, { lba, blocks, state }] of extents.entries()) {
    put(bytes, 8 + 16 * index, 8, lba)
    put(bytes, 16 + 16 * index, 4, Math.min(blocks, 0xffff_ffff))
    bytes[20 + 16 * index] = provisioningStates.indexOf(state)
  }
  return bytes
}

/** As many extents as were sent whole. */
export function decodeLbaStatus(bytes: Uint8Array): LbaStatus[] {
  slice(bytes, 'GET LBA STATUS data', 0, 8)
  const end = Math.min(bytes.length, u32(bytes, 0) + 4)
  const extents: LbaStatus[] = []
  for (let at = 8; at + 16 <= end; at += 16)
    extents.push({
      lba: u64(bytes, at),
      blocks: u32(bytes, at + 8),
      state: provisioningStates[u8(bytes, at + 12) & 0xf] ?? 'mapped',
    })
  return extents
}
