import { malformed, put, slice, textOf, u16, u32, u64, u8 } from './fields.ts'

/** Vital product data pages, SPC-4, 7.8 and SBC-3, 6.5. */
export const vpdPage = {
  supportedPages: 0x00,
  serial: 0x80,
  identification: 0x83,
  blockLimits: 0xb0,
  characteristics: 0xb1,
  provisioning: 0xb2,
} as const

/**
 *     0  1  qualifier, device type      2  2  bytes that follow
 *     1  1  page code                   4  n  the page
 */
function encodePage(page: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + body.length)
  bytes[1] = page
  put(bytes, 2, 2, body.length)
  bytes.set(body, 4)
  return bytes
}

/** The page without its header, as far as it was sent. Throws device-rejected for another page. */
export function decodeVpdBody(bytes: Uint8Array, page: number): Uint8Array {
  slice(bytes, 'VPD page', 0, 4)
  if (u8(bytes, 1) !== page)
    throw malformed('VPD page', 1, `${page.toString(16)}h`, `${u8(bytes, 1).toString(16)}h`)
  return bytes.subarray(4, Math.min(bytes.length, 4 + u16(bytes, 2)))
}

export const encodeSupportedPages = (pages: readonly number[]): Uint8Array =>
  encodePage(vpdPage.supportedPages, Uint8Array.from(pages.toSorted((a, b) => a - b)))
export const decodeSupportedPages = (bytes: Uint8Array): number[] => [
  ...decodeVpdBody(bytes, vpdPage.supportedPages),
]

export const encodeSerial = (serial: string): Uint8Array =>
  encodePage(
    vpdPage.serial,
    Uint8Array.from(serial, (char) => char.charCodeAt(0) & 0xff),
  )
export const decodeSerial = (bytes: Uint8Array): string => textOf(decodeVpdBody(bytes, vpdPage.serial))

/** SBC-3, 6.5.3. Counts are blocks; 0: no limit is told, or the command is not there. */
export interface BlockLimits {
  /** WRITE SAME with 0 blocks ("to the end") is refused. */
  readonly refusesWriteSameToEnd: boolean
  readonly maxCompareAndWriteBlocks: number
  readonly optimalTransferGranularity: number
  readonly maxTransferBlocks: number
  readonly optimalTransferBlocks: number
  readonly maxUnmapBlocks: number
  readonly maxUnmapDescriptors: number
  readonly optimalUnmapGranularity: number
  readonly unmapAlignment?: number
  readonly maxWriteSameBlocks: number
}

export function encodeBlockLimits(limits: BlockLimits): Uint8Array {
  const body = new Uint8Array(60)
  body[0] = limits.refusesWriteSameToEnd ? 1 : 0
  body[1] = limits.maxCompareAndWriteBlocks
  put(body, 2, 2, limits.optimalTransferGranularity)
  put(body, 4, 4, limits.maxTransferBlocks)
  put(body, 8, 4, limits.optimalTransferBlocks)
  put(body, 16, 4, limits.maxUnmapBlocks)
  put(body, 20, 4, limits.maxUnmapDescriptors)
  put(body, 24, 4, limits.optimalUnmapGranularity)
  if (limits.unmapAlignment !== undefined) put(body, 28, 4, 0x8000_0000 + limits.unmapAlignment)
  put(body, 32, 8, limits.maxWriteSameBlocks)
  return encodePage(vpdPage.blockLimits, body)
}

/** Older devices send 12 or fewer bytes; what is missing is 0. */
export function decodeBlockLimits(bytes: Uint8Array): BlockLimits {
  const body = new Uint8Array(60)
  body.set(decodeVpdBody(bytes, vpdPage.blockLimits).subarray(0, 60))
  const alignment = u32(body, 28)
  return {
    refusesWriteSameToEnd: (u8(body, 0) & 1) !== 0,
    maxCompareAndWriteBlocks: u8(body, 1),
    optimalTransferGranularity: u16(body, 2),
    maxTransferBlocks: u32(body, 4),
    optimalTransferBlocks: u32(body, 8),
    maxUnmapBlocks: u32(body, 16),
    maxUnmapDescriptors: u32(body, 20),
    optimalUnmapGranularity: u32(body, 24),
    ...(alignment >= 0x8000_0000 ? { unmapAlignment: alignment - 0x8000_0000 } : {}),
    maxWriteSameBlocks: u64(body, 32),
  }
}

/** SBC-3, 6.5.2. */
export interface BlockCharacteristics {
  /** 0 not told, 1 does not rotate, else turns in a minute. */
  readonly rotationRate: number
  /** 0 not told, 1 5.25", 2 3.5", 3 2.5", ... */
  readonly formFactor: number
}

export function encodeBlockCharacteristics({ rotationRate, formFactor }: BlockCharacteristics): Uint8Array {
  const body = new Uint8Array(60)
  put(body, 0, 2, rotationRate)
  body[3] = formFactor & 0xf
  return encodePage(vpdPage.characteristics, body)
}

export function decodeBlockCharacteristics(bytes: Uint8Array): BlockCharacteristics {
  const body = slice(decodeVpdBody(bytes, vpdPage.characteristics), 'VPD page B1h', 0, 4)
  return { rotationRate: u16(body, 0), formFactor: u8(body, 3) & 0xf }
}

/** SBC-3, 6.5.4. */
export interface Provisioning {
  readonly hasUnmap: boolean
  readonly hasWriteSame16Unmap: boolean
  readonly hasWriteSame10Unmap: boolean
  /** Unmapped blocks read as zeros. */
  readonly readsZeros: boolean
  /** 0 full or not told, 1 resource (thick with UNMAP), 2 thin. */
  readonly type: number
}

export function encodeProvisioning(provisioning: Provisioning): Uint8Array {
  const body = new Uint8Array(4)
  body[1] =
    (provisioning.hasUnmap ? 0x80 : 0) |
    (provisioning.hasWriteSame16Unmap ? 0x40 : 0) |
    (provisioning.hasWriteSame10Unmap ? 0x20 : 0) |
    (provisioning.readsZeros ? 0x04 : 0)
  body[2] = provisioning.type & 7
  return encodePage(vpdPage.provisioning, body)
}

export function decodeProvisioning(bytes: Uint8Array): Provisioning {
  const body = slice(decodeVpdBody(bytes, vpdPage.provisioning), 'VPD page B2h', 0, 4)
  const flags = u8(body, 1)
  return {
    hasUnmap: (flags & 0x80) !== 0,
    hasWriteSame16Unmap: (flags & 0x40) !== 0,
    hasWriteSame10Unmap: (flags & 0x20) !== 0,
    readsZeros: (flags & 0x1c) !== 0,
    type: u8(body, 2) & 7,
  }
}

export { encodePage as encodeVpdPage }
