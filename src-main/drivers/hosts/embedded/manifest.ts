import { embeddedHostConfigSchema } from '#shared/domain/compute.ts'

const settingsSchema = embeddedHostConfigSchema.shape.settings

/** What the list of drivers and the form for a new host show. */
export const manifest = {
  driver: 'embedded',
  title: 'This computer (QEMU)',
  /** Where the promises of the contract have been kept in tests. */
  testedWith: ['QEMU 7.2 on Debian 12'],
  settingsSchema,
  settings: {
    initiatorName: {
      label: 'Initiator name',
      description: "iSCSI qualified name that QEMU logs in with; when empty, the console's own.",
    },
    accelerator: {
      label: 'Acceleration',
      description: 'auto uses KVM where it works; emulation never does (slow, for nested hosts).',
    },
  } satisfies Record<keyof typeof settingsSchema.shape, { label: string; description: string }>,
} as const
