import { put, putText, slice, textOf, u16, u8 } from './fields.ts'

/** Standard INQUIRY data, SPC-4, 6.6.2; what is left out is 0. */
export interface Inquiry {
  /** 0 connected, 1 not connected now, 3 no such LUN. */
  readonly qualifier: number
  /** 00h disk, 0ch array controller, 1fh none. */
  readonly deviceType: number
  readonly isRemovable: boolean
  /** 5 SPC-3, 6 SPC-4. */
  readonly version: number
  /** Target port group support. */
  readonly tpgs: number
  /** EXTENDED COPY is understood. */
  readonly hasThirdPartyCopy: boolean
  readonly hasCommandQueue: boolean
  readonly vendor: string
  readonly product: string
  readonly revision: string
  /** Codes of SPC-4, annex D: which standards are kept to. At most 8. */
  readonly versionDescriptors: readonly number[]
}

/**
 *     0  1  qualifier (3 bits), device type   6   1  ...            58  16  version descriptors, 2 bytes each
 *     1  1  bit 7 removable                   7   1  bit 1 CmdQue   74  22  reserved
 *     2  1  version                           8   8  vendor
 *     3  1  response data format 2, HiSup     16 16  product
 *     4  1  bytes that follow                 32  4  revision
 *     5  1  TPGS (bits 4, 5), 3PC (bit 3)     36 22  vendor specific, ...
 */
export function encodeInquiry(inquiry: Inquiry): Uint8Array {
  const bytes = new Uint8Array(96)
  bytes[0] = (inquiry.qualifier << 5) | inquiry.deviceType
  bytes[1] = inquiry.isRemovable ? 0x80 : 0
  bytes[2] = inquiry.version
  bytes[3] = 0x12
  bytes[4] = bytes.length - 5
  bytes[5] = (inquiry.tpgs << 4) | (inquiry.hasThirdPartyCopy ? 0x08 : 0)
  bytes[7] = inquiry.hasCommandQueue ? 0x02 : 0
  putText(bytes, 8, 8, inquiry.vendor)
  putText(bytes, 16, 16, inquiry.product)
  putText(bytes, 32, 4, inquiry.revision)
  for (const [index, code] of inquiry.versionDescriptors.slice(0, 8).entries())
    put(bytes, 58 + 2 * index, 2, code)
  return bytes
}

/** Needs the 36 bytes that every device has; throws device-rejected. */
export function decodeInquiry(bytes: Uint8Array): Inquiry {
  slice(bytes, 'INQUIRY data', 0, 36)
  const versionDescriptors: number[] = []
  for (let at = 58; at < 74 && at + 2 <= bytes.length; at += 2)
    if (u16(bytes, at) > 0) versionDescriptors.push(u16(bytes, at))
  return {
    qualifier: u8(bytes, 0) >> 5,
    deviceType: u8(bytes, 0) & 0x1f,
    isRemovable: (u8(bytes, 1) & 0x80) !== 0,
    version: u8(bytes, 2),
    tpgs: (u8(bytes, 5) >> 4) & 3,
    hasThirdPartyCopy: (u8(bytes, 5) & 0x08) !== 0,
    hasCommandQueue: (u8(bytes, 7) & 0x02) !== 0,
    vendor: textOf(bytes.subarray(8, 16)),
    product: textOf(bytes.subarray(16, 32)),
    revision: textOf(bytes.subarray(32, 36)),
    versionDescriptors,
  }
}
