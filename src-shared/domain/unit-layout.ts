import { KiB, MiB, sectorBytes } from '../units/bytes.ts'

/** Where things lie on a unit, the same for a container file and the LUN made from it (docs/unit-format.md). */

/** The header partition stands at 1 MiB and is 1 MiB long. */
export const headerPartitionOffsetBytes = MiB
export const headerPartitionBytes = MiB
/** The first partition with data begins here. */
export const dataOffsetBytes = headerPartitionOffsetBytes + headerPartitionBytes
/** Kept free behind the last partition: the backup GPT needs 33 sectors, and partitions end on whole MiB. */
export const trailerBytes = MiB

export const headerPartitionFirstLba = headerPartitionOffsetBytes / sectorBytes
export const headerPartitionSectors = headerPartitionBytes / sectorBytes
export const dataFirstLba = dataOffsetBytes / sectorBytes

/** GPT partition types of our own, of the `disks` layout (and of the header in every layout). */
export const unitPartitionTypes = {
  header: 'afa682cc-4018-451c-93e5-75e1c647da01',
  configuration: 'afa682cc-4018-451c-93e5-75e1c647da02',
  state: 'afa682cc-4018-451c-93e5-75e1c647da03',
  snapshots: 'afa682cc-4018-451c-93e5-75e1c647da04',
  virtualDisk: 'afa682cc-4018-451c-93e5-75e1c647da05',
} as const
/** GPT name of the header partition. */
export const headerPartitionName = 'gantry-header'
/** MBR type of the header partition: "non-file-system data", which no operating system mounts. */
export const headerPartitionMbrType = 0xda

/** The two copies of the header, from the beginning of the header partition. */
export const headerCopyOffsets = [0, 512 * KiB] as const
/** The longest JSON of a header, in bytes of UTF-8. */
export const headerJsonLimitBytes = 480 * KiB

/** The lock record, from the beginning of the header partition. */
export const lockRecordOffset = 1020 * KiB
export const lockRecordBytes = 512
