import { join } from 'node:path'
import { uuidSchema } from '#shared/domain/names.ts'
import { AppError } from '#shared/errors/app-error.ts'

/** What is kept of one VM. */
export interface VmPlaces {
  readonly folder: string
  readonly record: string
  readonly consoleLog: string
  /** Written and locked by QEMU for as long as it runs. */
  readonly pidFile: string
  /** QEMU's monitor. */
  readonly monitor: string
  /** The VM's own UEFI variables. */
  readonly firmwareVariables: string
}

export const vmsFolder = (dataDir: string): string => join(dataDir, 'vms')
export const attachedFolder = (dataDir: string): string => join(dataDir, 'attached')

/** Throws bad-request for what is no UUID: it becomes a path. */
export function vmPlaces(dataDir: string, uuid: string): VmPlaces {
  if (!uuidSchema.safeParse(uuid).success) throw new AppError('bad-request', `"${uuid}" is no UUID of a VM`)
  const folder = join(vmsFolder(dataDir), uuid)
  return {
    folder,
    record: join(folder, 'vm.json'),
    consoleLog: join(folder, 'console.log'),
    pidFile: join(folder, 'pid'),
    monitor: join(folder, 'qmp'),
    firmwareVariables: join(folder, 'uefi-vars'),
  }
}
