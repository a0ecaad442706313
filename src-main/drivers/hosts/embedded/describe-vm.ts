import { setDiskLunRegion } from '#main/protocols/domain-xml/disks.ts'
import { rewriteDomain } from '#main/protocols/domain-xml/rewrite-domain.ts'
import type { DefineVmOnDisks, VmDefinition } from '../contract.ts'
import { vmPlaces } from './places.ts'

/** The template's configuration with disks that are regions of the LUN. */
export function describeVm(dataDir: string, spec: DefineVmOnDisks): VmDefinition {
  const { name, uuid, lun, initiator, template } = spec
  const { consoleLog } = vmPlaces(dataDir, uuid)
  const { portal, target, lun: number } = lun
  const domain = rewriteDomain({
    name,
    uuid,
    lun,
    template,
    consoleLog,
    disks: spec.disks.map(({ index, offsetBytes, sizeBytes }) => ({
      index,
      place: (element) =>
        setDiskLunRegion(element, { portal, target, lun: number, initiator, offsetBytes, sizeBytes }),
    })),
  })
  return { name, uuid, ...domain, consoleLog }
}
