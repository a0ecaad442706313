import { AppError } from '#shared/errors/app-error.ts'
import type { HostDriver, UnitFiles } from './hosts/contract.ts'

/** The host's way with file systems of units. Throws not-supported when it has none. */
export function unitFilesOf(host: HostDriver): UnitFiles {
  if (host.files !== undefined) return host.files
  throw new AppError('not-supported', 'This host cannot mount the file system of a unit', {
    object: `host ${host.config.name}`,
    advice:
      'Use a host with libvirt for containers of files, or stage the template as disks (gantry stage --layout disks).',
  })
}
