import { AppError } from '#shared/errors/app-error.ts'
import { setDiskFile } from '#main/protocols/domain-xml/disks.ts'
import { rewriteDomain } from '#main/protocols/domain-xml/rewrite-domain.ts'
import { needsConversion } from '#main/protocols/images/container-disk.ts'
import type { DefineVm, VmDefinition } from '../contract.ts'
import { consoleLogOf } from './identity.ts'

/** A VM with its disks as files on the mounted unit. */
export function describeVm({ name, uuid, lun, template, disks }: DefineVm): VmDefinition {
  const consoleLog = consoleLogOf(uuid)
  for (const { index, format } of disks)
    if (needsConversion(format))
      throw new AppError('not-supported', `Disk ${index} is a ${format} image, which libvirt cannot run`, {
        object: `VM ${name}`,
        advice: 'Stage the template again: staging converts such disks to qcow2.',
      })
  const domain = rewriteDomain({
    name,
    uuid,
    lun,
    template,
    consoleLog,
    disks: disks.map(({ index, path, format }) => ({
      index,
      place: (element) => setDiskFile(element, path, format),
    })),
  })
  return { name, uuid, ...domain, consoleLog }
}
