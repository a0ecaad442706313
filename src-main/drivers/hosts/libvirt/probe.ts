import type { HostConfig } from '#shared/domain/compute.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import type { HostProbe } from '../contract.ts'
export const createHostProbe = (config: HostConfig, _shell: Shell) => async (_signal: AbortSignal): Promise<HostProbe> => ({ hostName: 'x', hypervisor: 'libvirt', osType: 'linux', initiatorName: config.settings.initiatorName ?? '', attachMethod: 'user-space', fileSystems: ['ext4','xfs','ntfs'], checks: [] })
