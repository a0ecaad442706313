import { malformed } from './malformed.ts'

export const lunBytes = 8
const highestFlatLun = 0x3fff

/**
 * The LUN field (SAM-5, section 4.7): a number below 256 in the peripheral form (00b, bus 0), one up to 16383 in the
 * flat form (01b). Throws device-rejected for other numbers.
 */
export function encodeLun(lun: number): Uint8Array {
  if (!Number.isInteger(lun) || lun < 0 || lun > highestFlatLun)
    throw malformed('LUN', 0, `0 to ${highestFlatLun}`, lun)
  const field = new Uint8Array(lunBytes)
  if (lun >= 256) field[0] = 0x40 | (lun >> 8)
  field[1] = lun & 0xff
  return field
}

/**
 * The number of a single-level LUN, in either form whatever its size. undefined: more levels, a bus other than 0, a
 * well-known or an extended logical unit. Throws device-rejected when fewer than 8 bytes are there.
 */
export function decodeLun(bytes: Uint8Array, offset = 0): number | undefined {
  if (offset + lunBytes > bytes.length)
    throw malformed('LUN', offset, `${lunBytes} bytes`, Math.max(0, bytes.length - offset))
  for (let index = 2; index < lunBytes; index++) if (bytes[offset + index] !== 0) return undefined
  const first = bytes[offset] ?? 0
  const second = bytes[offset + 1] ?? 0
  const method = first >> 6
  if (method === 0) return (first & 0x3f) === 0 ? second : undefined
  return method === 1 ? ((first & 0x3f) << 8) | second : undefined
}
