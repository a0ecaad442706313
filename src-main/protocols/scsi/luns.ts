import { malformed, put, slice, u16, u32, u8 } from './fields.ts'

/**
 * The 8 bytes of a LUN (SAM-5, 4.7): peripheral addressing below 256, flat space addressing (01b) below 16,384.
 * Throws bad-request's cousin device-rejected for more.
 */
export function encodeLun(lun: number, into: Uint8Array = new Uint8Array(8), at = 0): Uint8Array {
  if (!Number.isInteger(lun) || lun < 0 || lun >= 0x4000) throw malformed('LUN', 0, '0 to 16383', lun)
  into.fill(0, at, at + 8)
  put(into, at, 2, lun < 256 ? lun : 0x4000 | lun)
  return into
}

/**
 * Peripheral (00b, bus 0), flat (01b) and the 24 bits of extended flat addressing (11b, length 1, method 2).
 * undefined: a LUN behind another bus, or well known: none that a number names.
 */
export function decodeLun(bytes: Uint8Array, at = 0): number | undefined {
  const first = u8(bytes, at)
  const isSingleLevel = u16(bytes, at + 2) === 0 && u32(bytes, at + 4) === 0
  if (first < 0x40) return first === 0 && isSingleLevel ? u8(bytes, at + 1) : undefined
  if (first < 0x80) return isSingleLevel ? u16(bytes, at) & 0x3fff : undefined
  if (first === 0xd2 && u32(bytes, at + 4) === 0) return (u8(bytes, at + 1) << 16) | u16(bytes, at + 2)
  return undefined
}

/** REPORT LUNS data (SPC-4, 6.33): length, reserved, 8 bytes for each. */
export function encodeReportLuns(luns: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(8 + 8 * luns.length)
  put(bytes, 0, 4, 8 * luns.length)
  for (const [index, lun] of luns.entries()) encodeLun(lun, bytes, 8 + 8 * index)
  return bytes
}

/** `total`: how many there are, of which `luns` have been sent; what is no plain number is left out. */
export function decodeReportLuns(bytes: Uint8Array): { readonly luns: number[]; readonly total: number } {
  slice(bytes, 'REPORT LUNS data', 0, 8)
  const length = u32(bytes, 0)
  if (length % 8 !== 0) throw malformed('length of the LUN list', 0, 'a multiple of 8', length)
  const luns: number[] = []
  for (let at = 8; at + 8 <= Math.min(bytes.length, 8 + length); at += 8) {
    const lun = decodeLun(bytes, at)
    if (lun !== undefined) luns.push(lun)
  }
  return { luns, total: length / 8 }
}
