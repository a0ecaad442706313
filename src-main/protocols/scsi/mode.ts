import { malformed, put, slice, u16, u8 } from './fields.ts'

/** A mode page (SPC-4, 7.5): `body` is what follows page code, subpage code and length. */
export interface ModePage {
  readonly page: number
  readonly subpage: number
  readonly canBeSaved: boolean
  readonly body: Uint8Array
}

export const modePage = {
  errorRecovery: 0x01,
  caching: 0x08,
  control: 0x0a,
  exceptions: 0x1c,
  all: 0x3f,
} as const

export interface ModeData {
  /** 00h for disks. */
  readonly mediumType: number
  readonly isWriteProtected: boolean
  /** DPO and FUA are understood. */
  readonly hasDpoFua: boolean
  /** Raw; 8 or 16 bytes each. */
  readonly blockDescriptors: Uint8Array
  readonly hasLongBlockDescriptors: boolean
  readonly pages: readonly ModePage[]
}

/** The caching page (SBC-3, 6.4.5): 18 bytes. */
export interface CachingPage {
  /** WCE: writes are answered before they are durable. */
  readonly hasWriteCache: boolean
  /** RCD. */
  readonly isReadCacheOff: boolean
}

export function encodeCachingPage({ hasWriteCache, isReadCacheOff }: CachingPage): ModePage {
  const body = new Uint8Array(18)
  body[0] = (hasWriteCache ? 0x04 : 0) | (isReadCacheOff ? 0x01 : 0)
  return { page: modePage.caching, subpage: 0, canBeSaved: false, body }
}

export function decodeCachingPage({ body }: ModePage): CachingPage {
  const flags = u8(slice(body, 'caching page', 0, 1), 0)
  return { hasWriteCache: (flags & 0x04) !== 0, isReadCacheOff: (flags & 0x01) !== 0 }
}

/** The control page (SPC-4, 7.5.7): 10 bytes. */
export interface ControlPage {
  /** D_SENSE: sense data in the descriptor format. */
  readonly hasDescriptorSense: boolean
  /** SWP: software write protection. */
  readonly isWriteProtected: boolean
  /** TAS: tasks aborted by others end with TASK ABORTED. */
  readonly hasTaskAbortedStatus: boolean
  /** 1: commands may be reordered. */
  readonly queueAlgorithm: number
  /** 0 unit attention for established reservation conflicts is off, ... */
  readonly unitAttentionInterlock: number
}

export function encodeControlPage(control: ControlPage): ModePage {
  const body = new Uint8Array(10)
  body[0] = control.hasDescriptorSense ? 0x04 : 0
  body[1] = control.queueAlgorithm << 4
  body[2] = (control.unitAttentionInterlock << 4) | (control.isWriteProtected ? 0x08 : 0)
  body[3] = control.hasTaskAbortedStatus ? 0x40 : 0
  return { page: modePage.control, subpage: 0, canBeSaved: false, body }
}

export function decodeControlPage({ body }: ModePage): ControlPage {
  slice(body, 'control page', 0, 4)
  return {
    hasDescriptorSense: (u8(body, 0) & 0x04) !== 0,
    queueAlgorithm: u8(body, 1) >> 4,
    unitAttentionInterlock: (u8(body, 2) >> 4) & 3,
    isWriteProtected: (u8(body, 2) & 0x08) !== 0,
    hasTaskAbortedStatus: (u8(body, 3) & 0x40) !== 0,
  }
}

/**
 * MODE SENSE data and MODE SELECT list. Header of 4 bytes (6) or 8 (10): length (0 in a list), medium type, device
 * specific (bit 7 WP, bit 4 DPOFUA), [bit 0 long LBA, reserved,] length of the block descriptors.
 */
export function encodeModeData(length: 6 | 10, data: ModeData): Uint8Array {
  const headerBytes = length === 6 ? 4 : 8
  const pages = data.pages.map(encodePage)
  const total = headerBytes + data.blockDescriptors.length + pages.reduce((sum, page) => sum + page.length, 0)
  const bytes = new Uint8Array(total)
  const flags = (data.isWriteProtected ? 0x80 : 0) | (data.hasDpoFua ? 0x10 : 0)
  if (length === 6)
    bytes.set([Math.min(255, total - 1), data.mediumType, flags, data.blockDescriptors.length])
  else {
    put(bytes, 0, 2, total - 2)
    bytes.set([data.mediumType, flags, data.hasLongBlockDescriptors ? 1 : 0], 2)
    put(bytes, 6, 2, data.blockDescriptors.length)
  }
  bytes.set(data.blockDescriptors, headerBytes)
  let at = headerBytes + data.blockDescriptors.length
  for (const page of pages) {
    bytes.set(page, at)
    at += page.length
  }
  return bytes
}

/** Page: bit 7 PS, bit 6 SPF, page code; then length (1 byte), or subpage and length (2 bytes). */
function encodePage({ page, subpage, canBeSaved, body }: ModePage): Uint8Array {
  const headerBytes = subpage === 0 ? 2 : 4
  const bytes = new Uint8Array(headerBytes + body.length)
  bytes[0] = (canBeSaved ? 0x80 : 0) | (subpage === 0 ? 0 : 0x40) | page
  if (subpage !== 0) bytes[1] = subpage
  put(bytes, subpage === 0 ? 1 : 2, subpage === 0 ? 1 : 2, body.length)
  bytes.set(body, headerBytes)
  return bytes
}

/**
 * Pages that were cut off by the allocation length are left out unless `isWhole` (a MODE SELECT list): then it throws
 * device-rejected, as it does for a header that does not fit.
 */
export function decodeModeData(length: 6 | 10, bytes: Uint8Array, isWhole = false): ModeData {
  const headerBytes = length === 6 ? 4 : 8
  slice(bytes, 'mode parameter header', 0, headerBytes)
  const [mediumAt, flagsAt] = length === 6 ? [1, 2] : [2, 3]
  const descriptorBytes = length === 6 ? u8(bytes, 3) : u16(bytes, 6)
  const blockDescriptors = slice(bytes, 'block descriptors', headerBytes, descriptorBytes)
  const told = length === 6 ? u8(bytes, 0) + 1 : u16(bytes, 0) + 2
  const end = isWhole ? bytes.length : Math.min(bytes.length, told)
  const pages: ModePage[] = []
  for (let at = headerBytes + descriptorBytes; at < end;) {
    const found = decodePage(bytes.subarray(at, end))
    if (found === undefined) {
      if (isWhole) throw malformed('mode page', at, 'a whole page', `${end - at} bytes`)
      break
    }
    pages.push(found.page)
    at += found.lengthBytes
  }
  return {
    mediumType: u8(bytes, mediumAt),
    isWriteProtected: (u8(bytes, flagsAt) & 0x80) !== 0,
    hasDpoFua: (u8(bytes, flagsAt) & 0x10) !== 0,
    hasLongBlockDescriptors: length === 10 && (u8(bytes, 4) & 1) !== 0,
    blockDescriptors,
    pages,
  }
}

function decodePage(bytes: Uint8Array): { page: ModePage; lengthBytes: number } | undefined {
  const first = u8(bytes, 0)
  const isLong = (first & 0x40) !== 0
  const headerBytes = isLong ? 4 : 2
  if (bytes.length < headerBytes) return undefined
  const lengthBytes = headerBytes + (isLong ? u16(bytes, 2) : u8(bytes, 1))
  if (lengthBytes > bytes.length) return undefined
  const page = {
    page: first & 0x3f,
    subpage: isLong ? u8(bytes, 1) : 0,
    canBeSaved: (first & 0x80) !== 0,
    body: bytes.subarray(headerBytes, lengthBytes),
  }
  return { page, lengthBytes }
}
