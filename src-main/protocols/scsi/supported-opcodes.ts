import { put, slice, u16, u32, u8 } from './fields.ts'

/** One line of REPORT SUPPORTED OPERATION CODES, all commands (SPC-4, 6.35.2). */
export interface SupportedOpcode {
  readonly opcode: number
  readonly serviceAction?: number
  readonly cdbLength: number
}

/**
 * 8 bytes each: opcode, reserved, service action (2), reserved, flags (bit 0: has service actions, bit 1: a timeouts
 * descriptor follows), CDB length (2).
 * @param hasTimeouts a descriptor of 12 bytes follows each, with no time told
 */
export function encodeSupportedOpcodes(opcodes: readonly SupportedOpcode[], hasTimeouts = false): Uint8Array {
  const each = hasTimeouts ? 20 : 8
  const bytes = new Uint8Array(4 + each * opcodes.length)
  put(bytes, 0, 4, each * opcodes.length)
  for (const [index, { opcode, serviceAction, cdbLength }] of opcodes.entries()) {
    const at = 4 + each * index
    bytes[at] = opcode
    put(bytes, at + 2, 2, serviceAction ?? 0)
    bytes[at + 5] = (serviceAction === undefined ? 0 : 1) | (hasTimeouts ? 2 : 0)
    put(bytes, at + 6, 2, cdbLength)
    if (hasTimeouts) put(bytes, at + 8, 2, 10)
  }
  return bytes
}

/** As many as were sent whole. */
export function decodeSupportedOpcodes(bytes: Uint8Array): SupportedOpcode[] {
  slice(bytes, 'supported operation codes', 0, 4)
  const end = Math.min(bytes.length, 4 + u32(bytes, 0))
  const found: SupportedOpcode[] = []
  for (let at = 4; at + 8 <= end;) {
    const flags = u8(bytes, at + 5)
    found.push({
      opcode: u8(bytes, at),
      ...((flags & 1) === 0 ? {} : { serviceAction: u16(bytes, at + 2) }),
      cdbLength: u16(bytes, at + 6),
    })
    at += 8
    if ((flags & 2) !== 0) at += at + 2 <= end ? 2 + u16(bytes, at) : 2
  }
  return found
}

/** One command (SPC-4, 6.35.3); undefined usage: it is not supported. */
export function encodeOneOpcode(usage: Uint8Array | undefined, hasTimeouts = false): Uint8Array {
  if (usage === undefined) return Uint8Array.of(0, 1, 0, 0)
  const bytes = new Uint8Array(4 + usage.length + (hasTimeouts ? 12 : 0))
  bytes[1] = 3 | (hasTimeouts ? 0x80 : 0)
  put(bytes, 2, 2, usage.length)
  bytes.set(usage, 4)
  if (hasTimeouts) put(bytes, 4 + usage.length, 2, 10)
  return bytes
}

/** undefined: not supported. Otherwise which bits of its CDB the command looks at. */
export function decodeOneOpcode(bytes: Uint8Array): Uint8Array | undefined {
  slice(bytes, 'supported operation code', 0, 4)
  const support = u8(bytes, 1) & 7
  if (support !== 3 && support !== 5) return undefined
  return slice(bytes, 'CDB usage', 4, u16(bytes, 2))
}
