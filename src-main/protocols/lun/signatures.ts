import { Buffer } from 'node:buffer'
import { KiB, MiB, sectorBytes } from '#shared/units/bytes.ts'

/** [what it is, offset, bytes (latin1)]. Offsets are those of the formats' own headers. */
const signatures: readonly (readonly [string, number, string])[] = [
  ['ext2/3/4 file system', 0x438, '\x53\xef'],
  ['XFS file system', 0, 'XFSB'],
  ['Btrfs file system', 64 * KiB + 0x40, '_BHRfS_M'],
  ['NTFS file system', 3, 'NTFS    '],
  ['exFAT file system', 3, 'EXFAT   '],
  ['ReFS file system', 0, '\0\0\0ReFS\0'],
  ['FAT file system', 0x52, 'FAT32   '],
  ['FAT file system', 0x36, 'FAT16   '],
  ['FAT file system', 0x36, 'FAT12   '],
  ['BitLocker volume', 3, '-FVE-FS-'],
  ['F2FS file system', KiB, '\x10\x20\xf5\xf2'],
  ['HFS+ file system', KiB, 'H+\0'],
  ['HFSX file system', KiB, 'HX\0'],
  ['APFS container', 32, 'NXSB'],
  ['JFS file system', 32 * KiB, 'JFS1'],
  ['ReiserFS file system', 64 * KiB + 0x34, 'ReIsEr'],
  ['GFS2 file system', 64 * KiB, '\x01\x16\x19\x70'],
  ['OCFS2 file system', KiB, 'OCFSV2'],
  ['OCFS2 file system', 2 * KiB, 'OCFSV2'],
  ['OCFS2 file system', 4 * KiB, 'OCFSV2'],
  ['EROFS file system', KiB, '\xe2\xe1\xf5\xe0'],
  ['SquashFS file system', 0, 'hsqs'],
  ['ISO 9660 file system', 0x8001, 'CD001'],
  ['UDF file system', 0x8001, 'BEA01'],
  ['VMFS volume', MiB, '\x0d\xd0\x01\xc0'],
  ['LUKS volume', 0, 'LUKS\xba\xbe'],
  ['bcache device', 4 * KiB + 0x18, '\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81'],
  ['VDO volume', 0, 'dmvdo001'],
  ['Ceph OSD (BlueStore)', 0, 'bluestore block device'],
  ['Oracle ASM disk', 32, 'ORCLDISK'],
  ['Linux RAID member', 0, '\xfc\x4e\x2b\xa9'],
  ['Linux RAID member', 4 * KiB, '\xfc\x4e\x2b\xa9'],
  ['qcow2 image', 0, 'QFI\xfb'],
  ['VHDX image', 0, 'vhdxfile'],
  ['VHD image', 0, 'conectix'],
  ['VMDK image', 0, 'KDMV'],
  // The swap area's page size is that of the computer that made it.
  ...[4, 8, 16, 64].map((kib) => ['swap area', kib * KiB - 10, 'SWAPSPACE2'] as const),
  // The label is in one of the first four sectors.
  ...[0, 1, 2, 3].map((sector) => ['LVM physical volume', sector * sectorBytes, 'LABELONE'] as const),
]

const uberblock = Buffer.from([0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0])
const raidMagic = Buffer.from([0xfc, 0x4e, 0x2b, 0xa9])

/**
 * File systems and volumes that a disk bears, by the magic bytes of its beginning and its end; nothing else of them is
 * looked at.
 * @param first the first bytes of the disk, usually 2 MiB; `last` its last bytes, usually 1 MiB
 */
export function findSignatures(first: Uint8Array, last: Uint8Array, sizeBytes: number): string[] {
  const found = new Set<string>()
  const start = Buffer.from(first.buffer, first.byteOffset, first.byteLength)
  for (const [what, offset, bytes] of signatures)
    if (start.toString('latin1', offset, offset + bytes.length) === bytes) found.add(what)
  if (bearsZfs(start)) found.add('ZFS pool member')
  if (bearsRaidAtEnd(last, sizeBytes)) found.add('Linux RAID member')
  return [...found]
}

/** One of the 128 uberblocks of the first label, which begin at 128 KiB, in either byte order. */
function bearsZfs(start: Buffer): boolean {
  const bigEndian = Buffer.from(uberblock.toReversed())
  for (let offset = 128 * KiB; offset < 256 * KiB; offset += KiB) {
    const magic = start.subarray(offset, offset + 8)
    if (magic.equals(uberblock) || magic.equals(bigEndian)) return true
  }
  return false
}

/** Superblock 1.0: 8 KiB before the end, on whole 4 KiB; 0.90: the last whole 64 KiB. */
function bearsRaidAtEnd(last: Uint8Array, sizeBytes: number): boolean {
  const places = [
    Math.floor((sizeBytes - 8 * KiB) / (4 * KiB)) * 4 * KiB,
    Math.floor(sizeBytes / (64 * KiB)) * 64 * KiB - 64 * KiB,
  ]
  return places.some((place) => {
    const at = place - (sizeBytes - last.length)
    return at >= 0 && raidMagic.equals(last.subarray(at, at + 4))
  })
}
