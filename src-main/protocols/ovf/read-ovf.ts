import type { Template } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import {
  attributeOf,
  childrenOf,
  elementsOf,
  find,
  localName,
  parseXml,
  textOf,
  type XmlElement,
} from '../xml/xml.ts'

export interface OvfDisk {
  /** Name of the file in the package. */
  readonly fileName: string
  readonly fileSizeBytes: number | undefined
  readonly capacityBytes: number | undefined
}

export interface OvfDescriptor {
  readonly name: string
  readonly hardware: Required<Pick<Template['vm'], 'memoryBytes' | 'cpus' | 'firmware'>>
  /** In the order in which the VM has them. */
  readonly disks: readonly OvfDisk[]
  readonly warnings: readonly string[]
}

/** CIM_ResourceAllocationSettingData.ResourceType. */
const resourceTypes = { cpu: '3', memory: '4', cdrom: ['15', '16'], disk: '17' } as const

const refuse = (why: string): AppError =>
  new AppError('bad-request', `The OVF descriptor cannot be used: ${why}`)
const cannot = (why: string, advice: string): AppError =>
  new AppError('not-supported', `The OVF package cannot be used: ${why}`, { advice })

/**
 * An OVF descriptor (DMTF DSP0243, versions 1 and 2) with one virtual system. Throws bad-request for what is none,
 * not-supported for collections, delta disks and compressed or split files.
 */
export function readOvf(text: string): OvfDescriptor {
  const root = parseXml(text, 'The OVF descriptor')
  if (localName(root.name) !== 'Envelope') throw refuse('it has no Envelope')
  if (find(root, 'VirtualSystemCollection') !== undefined)
    throw cannot('it holds several VMs', 'Export each VM by itself.')
  const system = find(root, 'VirtualSystem') ?? find(root, 'Content')
  const hardware = system === undefined ? undefined : find(system, 'VirtualHardwareSection')
  if (system === undefined || hardware === undefined) throw refuse('it describes no VM')
  const items = itemsOf(root, hardware)
  const disks = items.filter((item) => field(item, 'ResourceType') === resourceTypes.disk)
  if (disks.length === 0) throw refuse('the VM has no disks, so there is nothing to stage')
  const warnings: string[] = []
  if (
    items.some((item) =>
      resourceTypes.cdrom.some((type) => type === field(item, 'ResourceType') && field(item, 'HostResource')),
    )
  )
    warnings.push('Media in CD-ROM drives are not staged')
  if (find(system, 'ProductSection') !== undefined)
    warnings.push('Product properties of the OVF (vApp options) are not passed to the guest')
  return {
    name: textOf(find(system, 'Name')) ?? attributeOf(system, 'id') ?? 'template',
    hardware: { memoryBytes: memoryOf(items), cpus: cpusOf(items), firmware: firmwareOf(system, hardware) },
    disks: inDiskOrder(disks).map((item) => diskOf(root, item)),
    warnings,
  }
}

const field = (item: XmlElement, name: string): string | undefined => textOf(find(item, name))

/** Items of the default configuration: with several, those that name others do not count. */
function itemsOf(root: XmlElement, hardware: XmlElement): XmlElement[] {
  const options = find(root, 'DeploymentOptionSection')
  const configurations = options === undefined ? [] : childrenOf(options, 'Configuration')
  const chosen =
    configurations.find((option) => attributeOf(option, 'default') === 'true') ?? configurations[0]
  const id = attributeOf(chosen, 'id')
  return elementsOf(hardware).filter((child) => {
    if (!['Item', 'StorageItem', 'EthernetPortItem'].includes(localName(child.name))) return false
    const only = attributeOf(child, 'configuration')
    return only === undefined || (id !== undefined && only.split(/\s+/).includes(id))
  })
}

/** By their address on the same controller; controllers in the order in which they are first used. */
function inDiskOrder(items: readonly XmlElement[]): XmlElement[] {
  const controllers = [...new Set(items.map((item) => field(item, 'Parent')))]
  return items.toSorted(
    (a, b) =>
      controllers.indexOf(field(a, 'Parent')) - controllers.indexOf(field(b, 'Parent')) ||
      Number(field(a, 'AddressOnParent') ?? 0) - Number(field(b, 'AddressOnParent') ?? 0),
  )
}

/** "byte * 2^20", "MegaBytes", "byte" -> bytes; the first form is DSP0004's, the others are of early exporters. */
export function parseAllocationUnits(text: string | undefined): number | undefined {
  const units = (text ?? 'byte').trim()
  const power = /^byte\s*\*\s*(\d+)\s*\^\s*(\d+)$/i.exec(units)
  if (power !== null) return Number(power[1]) ** Number(power[2])
  const scaled = /^byte\s*\*\s*(\d+)$/i.exec(units)
  if (scaled !== null) return Number(scaled[1])
  const prefix = /^(k|m|g|t|kilo|mega|giga|tera)?\s*b(?:ytes?)?$/i.exec(units)
  if (prefix === null) return undefined
  return 1024 ** ['', 'k', 'm', 'g', 't'].indexOf((prefix[1] ?? '').slice(0, 1).toLowerCase())
}

function quantity(value: string | undefined, units: string | undefined): number | undefined {
  const factor = parseAllocationUnits(units)
  if (value === undefined || !/^\d+(\.\d+)?$/.test(value) || factor === undefined) return undefined
  const bytes = Math.round(Number(value) * factor)
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined
}

function memoryOf(items: readonly XmlElement[]): number {
  const item = items.find((candidate) => field(candidate, 'ResourceType') === resourceTypes.memory)
  const bytes =
    item && quantity(field(item, 'VirtualQuantity'), field(item, 'AllocationUnits') ?? 'byte * 2^20')
  if (bytes === undefined) throw refuse('it does not say how much memory the VM has')
  return bytes
}

function cpusOf(items: readonly XmlElement[]): number {
  const item = items.find((candidate) => field(candidate, 'ResourceType') === resourceTypes.cpu)
  const cpus = Number(item && field(item, 'VirtualQuantity'))
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > 512)
    throw refuse('it does not say how many CPUs the VM has')
  return cpus
}

/** VMware: <vmw:Config vmw:key="firmware" vmw:value="efi"/>; VirtualBox: <Firmware type="EFI"/> in its own section. */
function firmwareOf(system: XmlElement, hardware: XmlElement): 'bios' | 'uefi' {
  const vmware = childrenOf(hardware, 'Config').find((config) => attributeOf(config, 'key') === 'firmware')
  const virtualBox = find(system, 'Machine', 'Hardware', 'Firmware')
  return /^efi/i.test(attributeOf(vmware, 'value') ?? attributeOf(virtualBox, 'type') ?? '') ? 'uefi' : 'bios'
}

function diskOf(root: XmlElement, item: XmlElement): OvfDisk {
  const resource = field(item, 'HostResource') ?? ''
  const [, kind, id] = /^(?:ovf:)?\/(disk|file)\/(.+)$/.exec(resource) ?? []
  const section = find(root, 'DiskSection')
  const disk =
    kind === 'disk' && section !== undefined
      ? childrenOf(section, 'Disk').find((candidate) => attributeOf(candidate, 'diskId') === id)
      : undefined
  if (attributeOf(disk, 'parentRef') !== undefined)
    throw cannot(`disk ${id} is a delta of another one`, 'Export the VM without snapshots.')
  const fileId = kind === 'file' ? id : attributeOf(disk, 'fileRef')
  const references = find(root, 'References')
  const file =
    fileId === undefined || references === undefined
      ? undefined
      : childrenOf(references, 'File').find((candidate) => attributeOf(candidate, 'id') === fileId)
  const fileName = attributeOf(file, 'href')
  if (fileName === undefined) throw refuse(`the disk "${resource}" has no file in the package`)
  if (!isPlainName(fileName))
    throw refuse(`the file name "${fileName.slice(0, 200)}" is not a plain name in the package`)
  if (attributeOf(file, 'compression') !== undefined && attributeOf(file, 'compression') !== 'identity')
    throw cannot(`"${fileName}" is compressed`, 'Export the VM without file compression.')
  if (attributeOf(file, 'chunkSize') !== undefined)
    throw cannot(`"${fileName}" is split into chunks`, 'Export the VM with whole files.')
  return {
    fileName,
    fileSizeBytes: quantity(attributeOf(file, 'size'), 'byte'),
    capacityBytes: quantity(attributeOf(disk, 'capacity'), attributeOf(disk, 'capacityAllocationUnits')),
  }
}

/** A name in one directory: no separators of any system, no drive, no control characters. */
export const isPlainName = (name: string): boolean =>
  // eslint-disable-next-line no-control-regex
  name !== '' && name !== '.' && name !== '..' && name.length <= 255 && !/[/\\:\u0000-\u001f]/.test(name)
