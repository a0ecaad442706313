import { bytesOfHex, hexOf, slice, textOf, u16, u8 } from './fields.ts'
import { decodeVpdBody, encodeVpdPage, vpdPage } from './vpd.ts'

/** SPC-4, 7.8.6.1; the index is the type's number. */
export const designatorTypes = [
  'vendor',
  't10',
  'eui64',
  'naa',
  'relative-port',
  'port-group',
  'lun-group',
  'md5',
  'name',
  'protocol',
  'uuid',
] as const
export type DesignatorType = (typeof designatorTypes)[number]

/** One name of a LUN, of the port asked or of the device that holds it. */
export interface Designator {
  readonly of: 'lun' | 'port' | 'device'
  readonly type: DesignatorType
  /** 1 binary, 2 ASCII, 3 UTF-8. */
  readonly codeSet: 1 | 2 | 3
  /** Transport (5: iSCSI) where the name is one of its kind. */
  readonly protocol?: number
  /** At most 255. */
  readonly bytes: Uint8Array
}

const associations = ['lun', 'port', 'device'] as const

/**
 *     0  1  protocol (4 bits), code set        3  1  length
 *     1  1  bit 7 protocol is valid,           4  n  the name
 *           association (bits 4, 5), type
 */
export function encodeIdentification(designators: readonly Designator[]): Uint8Array {
  const body: number[] = []
  for (const { of, type, codeSet, protocol, bytes } of designators)
    body.push(
      ((protocol ?? 0) << 4) | codeSet,
      (protocol === undefined ? 0 : 0x80) | (associations.indexOf(of) << 4) | designatorTypes.indexOf(type),
      0,
      bytes.length,
      ...bytes,
    )
  return encodeVpdPage(vpdPage.identification, Uint8Array.from(body))
}

/** What is reserved or cut off is left out; a name never has bytes of its neighbour. Throws device-rejected. */
export function decodeIdentification(bytes: Uint8Array): Designator[] {
  const body = decodeVpdBody(bytes, vpdPage.identification)
  const found: Designator[] = []
  for (let at = 0; at + 4 <= body.length;) {
    const length = u8(body, at + 3)
    if (at + 4 + length > body.length) break
    const flags = u8(body, at + 1)
    const of = associations[(flags >> 4) & 3]
    const type = designatorTypes[flags & 0xf]
    const codeSet = u8(body, at) & 0xf
    if (of !== undefined && type !== undefined && (codeSet === 1 || codeSet === 2 || codeSet === 3))
      found.push({
        of,
        type,
        codeSet,
        ...((flags & 0x80) === 0 ? {} : { protocol: u8(body, at) >> 4 }),
        bytes: slice(body, 'designator', at + 4, length),
      })
    at += 4 + length
  }
  return found
}

/** An NAA name: 16 hex digits (types 2, 3, 5) or 32 (type 6). */
export const naaDesignator = (naa: string): Designator => ({
  of: 'lun',
  type: 'naa',
  codeSet: 1,
  bytes: bytesOfHex(naa),
})

/** Vendor (8 characters, padded) and a name of the vendor's own. */
export const t10Designator = (vendor: string, id: string): Designator => ({
  of: 'lun',
  type: 't10',
  codeSet: 2,
  bytes: asciiOf(vendor.padEnd(8).slice(0, 8) + id),
})

/** A SCSI name string: "iqn....", "naa....", "eui....": UTF-8, zero-terminated, padded to 4 bytes (SPC-4, 7.8.6.11). */
export const nameDesignator = (of: Designator['of'], name: string): Designator => ({
  of,
  type: 'name',
  codeSet: 3,
  ...(of === 'lun' ? {} : { protocol: 5 }),
  bytes: asciiOf(name.padEnd((name.length + 4) & ~3, '\0')),
})

export const relativePortDesignator = (port: number): Designator => ({
  of: 'port',
  type: 'relative-port',
  codeSet: 1,
  protocol: 5,
  bytes: Uint8Array.of(0, 0, port >> 8, port & 0xff),
})

export const portGroupDesignator = (group: number): Designator => ({
  of: 'port',
  type: 'port-group',
  codeSet: 1,
  bytes: Uint8Array.of(0, 0, group >> 8, group & 0xff),
})

const asciiOf = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0) & 0xff)

/** For people and for comparing: "naa.6026761...", "t10.VENDOR  name", "eui.0011...", "port 1", the name itself. */
export function formatDesignator({ type, codeSet, bytes }: Designator): string {
  const value = codeSet === 1 ? hexOf(bytes) : textOf(bytes)
  switch (type) {
    case 'naa':
      return `naa.${value}`
    case 'eui64':
      return `eui.${value}`
    case 't10':
      return `t10.${value}`
    case 'uuid':
      // 1 byte of length kind and 1 reserved stand before it.
      return `uuid.${hexOf(bytes.subarray(2))}`
    case 'name':
      return value
    case 'relative-port':
    case 'port-group':
    case 'lun-group':
      return `${type} ${bytes.length >= 4 ? u16(bytes, 2) : value}`
    default:
      return `${type}.${value}`
  }
}
