import { KiB, MiB, roundUp } from '../units/bytes.ts'
import type { ImageFormat, TemplateFile } from './compute.ts'

/**
 * The most bytes that an image file can have when every sector of its virtual disk has been written: the disk and the
 * format's own tables. Snapshots inside the image are not counted.
 */
export function grownImageBytes(format: ImageFormat, virtualSizeBytes: number): number {
  return grown[format](virtualSizeBytes)
}

const grown: Record<ImageFormat, (virtualSizeBytes: number) => number> = {
  raw: (bytes) => bytes,
  /**
   * docs/interop/qcow2.txt of QEMU: for each cluster 8 bytes in a level-2 table (16 with extended_l2) and 2 bytes of
   * reference count. Reckoned for clusters of 16 KiB; the usual ones have 64.
   */
  qcow2: (bytes) => roundUp(bytes + Math.ceil(bytes / (16 * KiB)) * 18, 64 * KiB) + MiB,
  /** Virtual Hard Disk Image Format 1.0: blocks of 2 MiB, each with a sector of bitmap and 4 bytes in the table. */
  vhd(bytes) {
    const blocks = Math.ceil(bytes / (2 * MiB))
    return blocks * (2 * MiB + 512) + roundUp(blocks * 4, 4 * KiB) + 4 * KiB
  },
  /** MS-VHDX: header, log and metadata of 1 MiB each, 8 bytes a block in the table, blocks of up to 64 MiB. */
  vhdx: (bytes) => roundUp(bytes, 64 * MiB) + roundUp((bytes / MiB) * 16, MiB) + 4 * MiB,
  /** Virtual Disk Format 5.0, hosted sparse: grains of 64 KiB with 4 bytes in each of two tables; directories. */
  vmdk: (bytes) => roundUp(bytes, 64 * KiB) + roundUp((bytes / (64 * KiB)) * 9, 64 * KiB) + MiB,
}

/** A template's file as {@link containerSize} counts it: disks at the size they can grow to. */
export const roomFor = ({
  sizeBytes,
  disk,
}: Pick<TemplateFile, 'sizeBytes' | 'disk'>): { sizeBytes: number; growsToBytes?: number } =>
  disk === undefined
    ? { sizeBytes }
    : { sizeBytes, growsToBytes: grownImageBytes(disk.format, disk.virtualSizeBytes) }
