import { Buffer } from 'node:buffer'
import { malformed } from './malformed.ts'
import { bhsBytes, opcodeMask } from './opcodes.ts'

/** A field of a basic header segment; its value is a `T`. */
export interface Field<T> {
  get(header: Buffer): T
  put(header: Buffer, value: T): void
}

export type Layout = Readonly<Record<string, Field<unknown>>>

type ValueOf<F> = F extends Field<infer T> ? T : never

/** What a header of this layout says, in the standard's words. */
export type Header<L extends Layout> = { readonly [Name in keyof L]: ValueOf<L[Name]> }

export const flag = (byte: number, mask: number): Field<boolean> => ({
  get: (header) => ((header[byte] ?? 0) & mask) !== 0,
  put: (header, value) => {
    if (value) header[byte] = (header[byte] ?? 0) | mask
  },
})

/** A number in some bits of a byte. */
export const bits = (byte: number, mask: number): Field<number> => {
  const shift = 31 - Math.clz32(mask & -mask)
  return {
    get: (header) => ((header[byte] ?? 0) & mask) >> shift,
    put: (header, value) => {
      if (!Number.isInteger(value) || value < 0 || value > mask >> shift)
        throw malformed('field', byte, `0 to ${mask >> shift}`, value)
      header[byte] = (header[byte] ?? 0) | (value << shift)
    },
  }
}

export const u8 = (offset: number): Field<number> => bits(offset, 0xff)

export const u16 = (offset: number): Field<number> => ({
  get: (header) => header.readUInt16BE(offset),
  put: (header, value) => header.writeUInt16BE(value, offset),
})

export const u32 = (offset: number): Field<number> => ({
  get: (header) => header.readUInt32BE(offset),
  put: (header, value) => header.writeUInt32BE(value, offset),
})

/** `lengthBytes` bytes; decoding gives a copy. */
export const bytes = (offset: number, lengthBytes: number): Field<Uint8Array> => ({
  get: (header) => Uint8Array.prototype.slice.call(header, offset, offset + lengthBytes),
  put: (header, value) => {
    if (value.length !== lengthBytes) throw malformed('field', offset, `${lengthBytes} bytes`, value.length)
    header.set(value, offset)
  },
})

/** A header of 48 bytes. What `values` leaves out is zero; TotalAHSLength and DataSegmentLength are set by {@link framePdu}. */
export function encodeHeader<L extends Layout>(
  opcode: number,
  layout: L,
  values: Partial<Header<L>>,
): Buffer<ArrayBuffer> {
  const header = Buffer.alloc(bhsBytes)
  header[0] = opcode
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) layout[name]?.put(header, value)
  }
  return header
}

/** Reserved bits are not looked at. Throws device-rejected when bytes are missing or the opcode is another. */
export function decodeHeader<L extends Layout>(opcode: number, layout: L, header: Uint8Array): Header<L> {
  if (header.length < bhsBytes) throw malformed('header', 0, `${bhsBytes} bytes`, header.length)
  const found = (header[0] ?? 0) & opcodeMask
  if (found !== opcode) throw malformed('opcode', 0, `0x${opcode.toString(16)}`, `0x${found.toString(16)}`)
  const view = Buffer.from(header.buffer, header.byteOffset, header.byteLength)
  return Object.fromEntries(
    Object.entries(layout).map(([name, field]) => [name, field.get(view)]),
  ) as Header<L>
}
