import { put, slice, u16, u32, u64, u8 } from './fields.ts'

export interface Capacity {
  readonly blocks: number
  readonly blockBytes: number
  /** Blocks in a physical one, as a power of 2; alignment of the first. */
  readonly physicalExponent: number
  readonly lowestAligned: number
  /** Thin: UNMAP is there (LBPME), and unmapped blocks read as zeros (LBPRZ). */
  readonly isThin: boolean
  readonly readsZeros: boolean
}

/** SBC-3, 5.16.2: last LBA, block length; ffffffffh when READ CAPACITY(16) must be asked. */
export function encodeCapacity10({ blocks, blockBytes }: Capacity): Uint8Array {
  const bytes = new Uint8Array(8)
  put(bytes, 0, 4, Math.min(Math.max(0, blocks - 1), 0xffff_ffff))
  put(bytes, 4, 4, blockBytes)
  return bytes
}

/** blocks undefined: more than 32 bits tell. */
export function decodeCapacity10(bytes: Uint8Array): {
  readonly blocks?: number
  readonly blockBytes: number
} {
  slice(bytes, 'READ CAPACITY data', 0, 8)
  const last = u32(bytes, 0)
  return { ...(last === 0xffff_ffff ? {} : { blocks: last + 1 }), blockBytes: u32(bytes, 4) }
}

/**
 * SBC-3, 5.17.2.
 *
 *     0   8  last LBA              13  1  physical blocks exponent (low 4 bits)
 *     8   4  block length          14  2  bit 15 LBPME, bit 14 LBPRZ, lowest aligned LBA
 *     12  1  protection            16 16  reserved
 */
export function encodeCapacity16(capacity: Capacity): Uint8Array {
  const bytes = new Uint8Array(32)
  put(bytes, 0, 8, Math.max(0, capacity.blocks - 1))
  put(bytes, 8, 4, capacity.blockBytes)
  bytes[13] = capacity.physicalExponent & 0xf
  put(
    bytes,
    14,
    2,
    (capacity.isThin ? 0x8000 : 0) | (capacity.readsZeros ? 0x4000 : 0) | (capacity.lowestAligned & 0x3fff),
  )
  return bytes
}

export function decodeCapacity16(bytes: Uint8Array): Capacity {
  slice(bytes, 'READ CAPACITY(16) data', 0, 12)
  const thin = bytes.length >= 16 ? u16(bytes, 14) : 0
  return {
    blocks: u64(bytes, 0) + 1,
    blockBytes: u32(bytes, 8),
    physicalExponent: bytes.length >= 14 ? u8(bytes, 13) & 0xf : 0,
    lowestAligned: thin & 0x3fff,
    isThin: (thin & 0x8000) !== 0,
    readsZeros: (thin & 0x4000) !== 0,
  }
}
