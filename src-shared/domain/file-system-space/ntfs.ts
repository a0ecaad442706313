import { GiB, KiB, MiB, roundUp } from '../../units/bytes.ts'
import type { FileSystemSpace } from './contract.ts'

const clusterBytes = 4 * KiB
/** A record of the master file table. */
const recordBytes = KiB
/** An index entry (66 bytes and two for each character, half-full index) of the longest name. */
const directoryBytesPerFile = KiB
/** Boot sectors, $MFT and $MFTMirr as made, $UpCase, $AttrDef, $Secure, root directory; $MFT grows by 64 records. */
const fixedBytes = MiB

/**
 * NTFS as mkntfs of ntfs-3g 2022.10.3 makes it: the log ($LogFile: 2 MiB, from 200 MiB on 1/200 of the size, at most
 * 64 MiB), one bit a cluster ($Bitmap). The zone of the master file table is no loss: when nothing else is free, the
 * driver takes clusters from it.
 */
export const ntfsSpace: FileSystemSpace = {
  minimumBytes: 8 * MiB,
  blockBytes: clusterBytes,
  ownBytes(sizeBytes, fileCount, dataBytes) {
    const log = Math.min(Math.max(2 * MiB, sizeBytes / 200), 64 * MiB)
    const bitmap = sizeBytes / clusterBytes / 8
    return Math.ceil(
      log + bitmap + fixedBytes + fileCount * (recordBytes + directoryBytesPerFile) + runBytes(dataBytes),
    )
  },
}

/** Run lists: at most 16 bytes a run, in records of 1 KiB; runs of 4 MiB on average. */
const runBytes = (dataBytes: number): number => roundUp((dataBytes / GiB) * 4 * KiB, clusterBytes)
