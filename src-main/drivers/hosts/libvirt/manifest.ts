import { libvirtHostConfigSchema } from '#shared/domain/compute.ts'

const settingsSchema = libvirtHostConfigSchema.shape.settings

/** What the list of drivers and the form for a new host show. */
export const manifest = {
  driver: 'libvirt',
  title: 'Linux host with libvirt (QEMU/KVM)',
  /** Where the promises of the contract have been kept in tests. */
  testedWith: ['libvirt 9.0.0 and QEMU 7.2 on Debian 12'],
  settingsSchema,
  settings: {
    uri: {
      label: 'libvirt URI',
      description:
        'Which libvirt of the host to use, as seen on the host itself; qemu:///system for the system one.',
    },
    stateDir: {
      label: 'Directory on the host',
      description: 'Where Gantry mounts containers and keeps what it must remember about attached LUNs.',
    },
    portals: {
      label: 'Portals of arrays',
      description:
        'Address and port under which this host reaches an array, where it is not the one of the array.',
    },
    initiatorName: {
      label: 'Initiator name',
      description: "iSCSI qualified name of the host; when empty, the one of the host's own initiator.",
    },
    accelerator: {
      label: 'Acceleration',
      description:
        'For VMs that bring no configuration: auto uses KVM where libvirt offers it; emulation never does (slow, for nested hosts).',
    },
  } satisfies Record<keyof typeof settingsSchema.shape, { label: string; description: string }>,
} as const
