import type { HostConfig } from '#shared/domain/compute.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import type { HostDriver } from '../contract.ts'
import { createHostProbe } from './probe.ts'
import { createHostStorage } from './storage.ts'
import { createHostTemplates } from './templates.ts'
import { createHostVms } from './vms.ts'

/** A Linux host with libvirt and QEMU; each part sees the host through one shell. */
export const createLibvirtHost = (config: HostConfig, shell: Shell): HostDriver => ({
  config,
  ...createHostProbe(config, shell),
  ...createHostStorage(config, shell),
  ...createHostVms(config, shell),
  ...createHostTemplates(config, shell),
})
