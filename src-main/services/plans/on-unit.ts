import type { LunAddress } from '#shared/domain/storage.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { HostDriver } from '#main/drivers/hosts/contract.ts'
import { unitFilesOf } from '#main/drivers/unit-files.ts'
import type { DeployPlan } from '#main/jobs/kinds/deploy.ts'
import type { Unit } from '#main/protocols/unit/unit.ts'
import { findDisk } from '#main/units/unit-disks.ts'
import type { TakenLock } from '#main/units/unit-lock.ts'
import { planLock } from './planned-lock.ts'

interface NewVm {
  readonly name: string
  readonly uuid: string
  readonly lun: LunAddress
  readonly initiator: string
  readonly unit: Unit
  readonly header: UnitHeader
  readonly input: { readonly container: string; readonly verify: boolean }
  /** Of the container that the VM runs on, to be broken. */
  readonly seen: TakenLock | undefined
}

type OnUnit = Pick<DeployPlan, 'vm' | 'fileSystem' | 'verify' | 'lock'>

/** What of a deployment follows from the container's layout. Throws not-supported when the host has no way with it. */
export const onUnit = (host: HostDriver, vm: NewVm): OnUnit =>
  vm.header.layout === 'disks' ? onDisks(host, vm) : onFiles(host, vm)

function onDisks(host: HostDriver, { name, uuid, lun, initiator, unit, header, input, seen }: NewVm): OnUnit {
  const object = `container ${input.container}, host ${host.config.name}`
  if (host.disks === undefined)
    throw new AppError('not-supported', 'This host does not run VMs from containers of disks', {
      object,
      advice:
        'Deploy it on this computer (gantry host add NAME --driver embedded), or stage the template as files: --layout files.',
    })
  const regions = header.disks.map(({ index }) => findDisk(unit, index, object))
  const vm = host.disks.describeVm({
    name,
    uuid,
    lun,
    initiator,
    template: header.vm.configuration,
    disks: regions.map(({ disk, offsetBytes, sizeBytes }) => ({ index: disk.index, offsetBytes, sizeBytes })),
  })
  const owner = host.disks.lockOwner?.(vm)
  return {
    vm,
    ...(owner === undefined ? {} : { lock: planLock(owner, seen) }),
    ...(input.verify
      ? { verify: regions.map(({ disk, sizeBytes }) => ({ index: disk.index, sizeBytes })) }
      : {}),
  }
}

function onFiles(host: HostDriver, { name, uuid, lun, header, input }: NewVm): OnUnit {
  const files = unitFilesOf(host)
  if (input.verify)
    throw new AppError('not-supported', 'The console reads no files of a container back', {
      object: `container ${input.container}`,
      advice: 'Leave --verify out; the files were verified when they were staged.',
    })
  if (header.fileSystem === undefined)
    throw new AppError('bug', 'A header of the layout "files" names no file system')
  const mountPoint = files.mountPointOf(lun)
  return {
    fileSystem: header.fileSystem.type,
    vm: files.describeVm({
      name,
      uuid,
      lun,
      template: header.vm.configuration,
      disks: header.disks.map(({ index, format, path }) => ({
        index,
        format,
        path: `${mountPoint}/${path ?? ''}`,
      })),
    }),
  }
}
