/** `previous` is the result for the bytes before these, 0 at the beginning. */
export type Crc32 = (bytes: Uint8Array, previous?: number) => number

const sliceCount = 8

/**
 * A 32-bit reflected CRC with initial value and final XOR of all ones, eight bytes at a time ("slicing-by-8":
 * M. Kounavis and F. Berry, "A Systematic Approach to Building High Performance Software-Based CRC Generators", 2005).
 * @param polynomial bit-reversed, without the x^32 term
 */
export function createCrc32(polynomial: number): Crc32 {
  // tables[slice * 256 + byte] is the CRC of that byte followed by `slice` zero bytes.
  const tables = new Int32Array(sliceCount * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1
    tables[byte] = crc
  }
  const table = (slice: number, byte: number): number => tables[slice * 256 + byte] ?? 0
  for (let index = 256; index < tables.length; index++) {
    const shorter = tables[index - 256] ?? 0
    tables[index] = (shorter >>> 8) ^ table(0, shorter & 0xff)
  }

  return (bytes, previous = 0) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    let crc = ~previous
    let offset = 0
    for (; offset + sliceCount <= bytes.length; offset += sliceCount) {
      const low = view.getInt32(offset, true) ^ crc
      const high = view.getInt32(offset + 4, true)
      crc =
        table(7, low & 0xff) ^
        table(6, (low >>> 8) & 0xff) ^
        table(5, (low >>> 16) & 0xff) ^
        table(4, low >>> 24) ^
        table(3, high & 0xff) ^
        table(2, (high >>> 8) & 0xff) ^
        table(1, (high >>> 16) & 0xff) ^
        table(0, high >>> 24)
    }
    for (; offset < bytes.length; offset++) crc = (crc >>> 8) ^ table(0, (crc ^ (bytes[offset] ?? 0)) & 0xff)
    return ~crc >>> 0
  }
}
