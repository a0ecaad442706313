import type { LibvirtHostConfig } from '#shared/domain/compute.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import type { ChapSecrets } from '../../chap-secrets.ts'
import type { HostDriver } from '../contract.ts'
import { createHostProbe } from './probe.ts'
import { createHostStorage } from './storage.ts'
import { createHostTemplates } from './templates.ts'
import { createHostVms } from './vms.ts'

/** A Linux host with libvirt and QEMU; each part sees the host through one shell. */
export function createLibvirtHost(config: LibvirtHostConfig, shell: Shell, secrets: ChapSecrets): HostDriver {
  const { attachLun, findAttached, detachLun, ...files } = createHostStorage(config, shell, secrets)
  const { describeVm, ...vms } = createHostVms(config, shell)
  return {
    config,
    ...createHostProbe(config, shell),
    attachLun,
    findAttached,
    detachLun,
    files: { ...files, describeVm },
    ...vms,
    ...createHostTemplates(config, shell),
  }
}
