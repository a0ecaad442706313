import {
  asciiAt,
  checkedVirtualSize,
  malformed,
  unsupported,
  viewOf,
  type ImageFacts,
} from './image-facts.ts'

export const vhdFooterBytes = 512
const maxGeometrySectors = 65535 * 16 * 255
/** Makers whose disks have the size of the footer's size field; for all others QEMU takes the geometry. */
const sizedByField = new Set(['win ', 'qem2', 'd2v ', 'tap\0', 'CTXS', 'wa\0\0'])

/**
 * Footer of a VHD (Virtual Hard Disk Image Format Specification 1.0), big endian, the last 512 bytes; a growing image
 * has a copy at its beginning:
 *
 *     0 "conectix"   12 version   28 maker   48 current size (8)   56 cylinders (2) heads (1) sectors (1)
 *     60 type: 2 fixed, 3 dynamic, 4 differencing   64 checksum: complement of the sum of all other bytes
 */
export function readVhd(name: string, footer: Uint8Array, offset: number): ImageFacts {
  const view = viewOf(name, footer, vhdFooterBytes, offset)
  const sum = footer
    .subarray(0, vhdFooterBytes)
    .reduce((total, byte, at) => total + (at >= 64 && at < 68 ? 0 : byte), 0)
  if (~sum >>> 0 !== view.getUint32(64))
    throw malformed(name, `the checksum of the VHD footer at ${offset} is wrong`)
  const type = view.getUint32(60)
  if (type === 4)
    throw unsupported(
      name,
      'is a differencing VHD: it needs its parent, which would not be in the container',
      'Merge it into one disk first (Hyper-V: Merge-VHD or Convert-VHD).',
    )
  if (type !== 2 && type !== 3) throw malformed(name, `the VHD type at offset ${offset + 60} is ${type}`)
  const field = view.getBigUint64(48)
  const sectors = view.getUint16(56) * view.getUint8(58) * view.getUint8(59)
  const byField = sizedByField.has(asciiAt(footer, 28, 4)) || sectors === maxGeometrySectors
  return {
    format: 'vhd',
    virtualSizeBytes: checkedVirtualSize(name, byField ? field : BigInt(sectors) * 512n),
    grows: type === 3,
    snapshots: 0,
    unclean: view.getUint8(84) !== 0,
  }
}

/** A fixed VHD has its disk before the footer and nothing else. */
export function checkFixedVhd(name: string, facts: ImageFacts, sizeBytes: number): void {
  if (facts.virtualSizeBytes > sizeBytes - vhdFooterBytes)
    throw malformed(
      name,
      `the footer claims ${facts.virtualSizeBytes} bytes, the file holds ${sizeBytes - vhdFooterBytes}`,
    )
}
