import type { HostConfig } from '#shared/domain/compute.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import type { HostDriver } from '../contract.ts'
import { createHostTemplates, type HostTemplates } from './templates.ts'
import { createHostVms, type HostVms } from './vms.ts'

/** What of a host has to do with LUNs and files on them. */
export type HostStorage = Omit<HostDriver, 'config' | 'probe' | keyof HostVms | keyof HostTemplates>

/** The parts that this driver is composed of beside VMs and templates; each sees the host through one shell. */
export interface LibvirtHostParts {
  readonly createHostStorage: (config: HostConfig, shell: Shell) => HostStorage
  readonly createHostProbe: (config: HostConfig, shell: Shell) => Pick<HostDriver, 'probe'>
}

/** A Linux host with libvirt and QEMU. */
export const composeLibvirtHost = (
  parts: LibvirtHostParts,
  config: HostConfig,
  shell: Shell,
): HostDriver => ({
  config,
  ...parts.createHostProbe(config, shell),
  ...parts.createHostStorage(config, shell),
  ...createHostVms(config, shell),
  ...createHostTemplates(config, shell),
})
