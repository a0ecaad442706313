import type { VmConfiguration } from '#shared/domain/compute.ts'
import type { LunAddress } from '#shared/domain/storage.ts'
import {
  attributeOf,
  childrenOf,
  elementsOf,
  find,
  formatXml,
  localName,
  makeElement,
  textOf,
  type XmlElement,
} from '../xml/xml.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { metadataNamespace, metadataPrefix, newMacAddress } from './identity.ts'
import { diskElementsOf, readDomain } from './read-domain.ts'
import { renewDevices, renewInterfaces, setSerialConsole } from './rewrite-devices.ts'

export interface NewDomain {
  readonly name: string
  readonly uuid: string
  /** The LUN that the VM stands on. */
  readonly lun: LunAddress
  readonly template: VmConfiguration
  /** File that the serial console is logged to. */
  readonly consoleLog: string
  /** `place` points the disk's element at where the disk lies now. */
  readonly disks: readonly { readonly index: number; readonly place: (disk: XmlElement) => void }[]
}

/** Of `<metadata>` only this describes the guest; all else belongs to whatever manages the template's own VM. */
const guestMetadata = 'libosinfo'
const secureBoot = 'secure-boot'

/**
 * A template's configuration for a new VM: new name, UUID, MAC addresses, fresh UEFI variables, disks on the unit,
 * serial console logged, nothing that names another VM or host. Pure but for the random MAC addresses. Throws
 * bad-request when the disks are not those of the configuration.
 */
export function rewriteDomain(
  spec: NewDomain,
  newMac: () => string = newMacAddress,
): { configuration: VmConfiguration; macAddresses: string[] } {
  const { root } = readDomain(spec.template.text, `The configuration for VM ${spec.name}`)
  const oldName = textOf(find(root, 'name')) ?? ''

  root.attributes.delete('id')
  // Kept from other managers' namespaces would be arguments for QEMU, which may name files and ports of one VM.
  root.children = elementsOf(root).filter((child) => child.name === localName(child.name))
  removeAll(root, 'name', 'uuid', 'title', 'seclabel')
  root.children.unshift(makeElement('name', {}, [spec.name]), makeElement('uuid', {}, [spec.uuid]))
  markOurs(root, spec)
  for (const generation of childrenOf(root, 'genid')) generation.children = []
  renewFirmware(root)
  renewSysinfo(root, oldName, spec)

  const devices = find(root, 'devices') ?? makeElement('devices')
  if (find(root, 'devices') === undefined) root.children.push(devices)
  renewDevices(devices)
  setDisks(devices, spec)
  const macAddresses = renewInterfaces(devices, newMac)
  setSerialConsole(devices, spec.consoleLog)
  return { configuration: { format: 'libvirt-xml', text: `${formatXml(root)}\n` }, macAddresses }
}

const removeAll = (parent: XmlElement, ...names: readonly string[]): void => {
  parent.children = elementsOf(parent).filter((child) => !names.includes(child.name))
}

/** Which LUN the VM stands on, readable on the host without the console's database. */
function markOurs(root: XmlElement, spec: NewDomain): void {
  const old = find(root, 'metadata')
  const kept = (old === undefined ? [] : elementsOf(old)).filter((child) => {
    const prefix = child.name.slice(0, child.name.indexOf(':'))
    return prefix === guestMetadata || (prefix === metadataPrefix && localName(child.name) === 'accelerator')
  })
  const mark = makeElement(`${metadataPrefix}:lun`, {
    [`xmlns:${metadataPrefix}`]: metadataNamespace,
    target: spec.lun.target,
    serial: spec.lun.serial,
    naa: spec.lun.naa,
  })
  removeAll(root, 'metadata')
  root.children.splice(2, 0, makeElement('metadata', {}, [...kept, mark]))
}

/** Without a path each VM gets its own variables, made from the firmware's template by the hypervisor. */
function renewFirmware(root: XmlElement): void {
  const os = find(root, 'os')
  if (os === undefined) return
  const automatic = attributeOf(os, 'firmware') === 'efi'
  for (const nvram of childrenOf(os, 'nvram')) {
    nvram.children = []
    for (const name of ['type', 'format']) nvram.attributes.delete(name)
  }
  const hasTemplate = (nvram: XmlElement): boolean => !automatic && nvram.attributes.has('template')
  os.children = elementsOf(os).filter((child) => child.name !== 'nvram' || hasTemplate(child))
  if (automatic) askForFirmware(os)
}

/**
 * The loader's path was chosen on the template's host; this one is asked again. Some versions of libvirt refuse a
 * loader's `secure` where they choose themselves (9.0 does), so that it becomes the feature that is asked for.
 */
function askForFirmware(os: XmlElement): void {
  const secure = attributeOf(find(os, 'loader'), 'secure')
  removeAll(os, 'loader')
  const asked = find(os, 'firmware')
  const features = asked === undefined ? [] : childrenOf(asked, 'feature')
  if (secure === undefined || features.some((feature) => attributeOf(feature, 'name') === secureBoot)) return
  const feature = makeElement('feature', { enabled: secure, name: secureBoot })
  if (asked === undefined) os.children.push(makeElement('firmware', {}, [feature]))
  else asked.children.push(feature)
}

/** cloud-init reads name and instance from the SMBIOS serial number: "ds=nocloud;h=web;i=1". */
function renewSysinfo(root: XmlElement, oldName: string, spec: NewDomain): void {
  for (const sysinfo of childrenOf(root, 'sysinfo'))
    for (const table of elementsOf(sysinfo)) {
      // Must be the domain's own UUID or absent.
      table.children = elementsOf(table).filter(
        (entry) => !(table.name === 'system' && attributeOf(entry, 'name') === 'uuid'),
      )
      for (const entry of elementsOf(table)) {
        const value = textOf(entry)
        if (attributeOf(entry, 'name') === 'serial' && value?.startsWith('ds=nocloud') === true)
          entry.children = [renewSeed(value, oldName, spec)]
      }
    }
}

function renewSeed(seed: string, oldName: string, spec: NewDomain): string {
  return seed
    .split(';')
    .map((part) => {
      const [key, value] = part.split('=', 2)
      if (key === 'h' || key === 'local-hostname') return `${key}=${spec.name}`
      if (key === 'i' || key === 'instance-id') return `${key}=${value === oldName ? spec.name : spec.uuid}`
      return part
    })
    .join(';')
}

function setDisks(devices: XmlElement, spec: NewDomain): void {
  const elements = diskElementsOf(devices)
  const byIndex = new Map(spec.disks.map((disk) => [disk.index, disk]))
  if (byIndex.size !== spec.disks.length || elements.length !== spec.disks.length)
    throw new AppError(
      'bad-request',
      `The configuration has ${elements.length} disks, the container ${spec.disks.length}`,
      { object: `VM ${spec.name}` },
    )
  for (const [index, element] of elements.entries()) {
    const disk = byIndex.get(index)
    if (disk === undefined)
      throw new AppError('bad-request', `The container has no disk ${index}`, { object: `VM ${spec.name}` })
    disk.place(element)
  }
}
