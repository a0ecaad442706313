import { linuxStorageConfigSchema } from '#shared/domain/storage.ts'

const settingsSchema = linuxStorageConfigSchema.shape.settings

/** What the list of drivers and the form for a new array show. */
export const manifest = {
  driver: 'linux-storage',
  title: 'Linux storage server (tgt, reflink file system)',
  /** Where the promises of the contract have been kept in tests. */
  testedWith: ['tgt 1.0.85 on Debian 12 with XFS (reflink=1)'],
  settingsSchema,
  settings: {
    volumes: {
      label: 'Volumes',
      description:
        'Directories on the array that hold containers, each under a name of its own; on XFS with reflink=1 or on Btrfs.',
    },
    portal: {
      label: 'iSCSI portal',
      description: 'Address and port under which hosts reach tgtd, such as 10.0.0.5:3260.',
    },
    tgtControlPort: {
      label: 'Control port of tgtd',
      description: 'The number after -C where tgtd was started with one; 0 otherwise.',
    },
    digests: {
      label: 'Checksums on the way',
      description: "CRC-32C over headers, data or both of the console's own iSCSI sessions.",
    },
    iqnPrefix: {
      label: 'Prefix of target names',
      description: 'Target names that Gantry makes begin with this iSCSI qualified name.',
    },
    lunLimitPerVolume: {
      label: 'Most LUNs per volume',
      description: 'Gantry refuses to make more LUNs than this on one volume; every LUN on it counts.',
    },
  } satisfies Record<keyof typeof settingsSchema.shape, { label: string; description: string }>,
} as const
