import { embeddedConfigSchema } from '#shared/domain/storage.ts'

const settingsSchema = embeddedConfigSchema.shape.settings

/** What the list of drivers and the form for a new array show. */
export const manifest = {
  driver: 'embedded',
  title: 'This computer (folders, served by Gantry itself; no storage hardware)',
  /** Where the promises of the contract have been kept in tests. */
  testedWith: ['Debian 12 with ext4 (full copies) and XFS (reflink=1)'],
  settingsSchema,
  settings: {
    volumes: {
      label: 'Volumes',
      description:
        'Folders of this computer that hold containers, each under a name of its own. On XFS with reflink=1, Btrfs ' +
        'or APFS clones share blocks; elsewhere each deployment is a full copy.',
    },
    portal: {
      label: 'iSCSI portal',
      description:
        'Address and port on which LUNs are served. Without one: 127.0.0.1, for this computer alone, and a free port.',
    },
    login: {
      label: 'Login',
      description:
        'CHAP user, and where its secret comes from; needed where other computers reach the portal.',
    },
    openToNetwork: {
      label: 'Open to the network',
      description: 'Your word that other computers may reach the portal.',
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
      description: 'Gantry refuses to make more LUNs than this on one volume.',
    },
  } satisfies Record<keyof typeof settingsSchema.shape, { label: string; description: string }>,
} as const
