import type { Template, Vm } from '#shared/domain/compute.ts'
import { uuidSchema } from '#shared/domain/names.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { attributeOf, childrenOf, find, localName, parseXml, textOf, type XmlElement } from '../xml/xml.ts'

/** A disk of a domain that the guest sees as a disk; CD-ROM and floppy drives are not among them. */
export interface DomainDisk {
  readonly element: XmlElement
  /** Target device in the guest: vda. */
  readonly target: string
  readonly type: Vm['disks'][number]['type']
  /** Path, or for a network disk its address as a URL; empty when there is none. */
  readonly source: string
  /** As written in `<driver type>`; undefined: left to the hypervisor. */
  readonly driverType: string | undefined
}

export interface DomainFacts {
  readonly root: XmlElement
  readonly vm: Template['vm']
  readonly disks: readonly DomainDisk[]
}

/** `what` names the document in errors. Throws bad-request when it is not a libvirt domain with name and memory. */
export function readDomain(text: string, what: string): DomainFacts {
  const root = parseXml(text, what)
  const name = textOf(find(root, 'name'))
  if (localName(root.name) !== 'domain' || name === undefined)
    throw new AppError('bad-request', `${what} is not the configuration of a libvirt domain`)
  const uuid = uuidSchema.safeParse(textOf(find(root, 'uuid'))?.toLowerCase())
  const devices = find(root, 'devices')
  return {
    root,
    vm: {
      name,
      ...(uuid.success ? { uuid: uuid.data } : {}),
      memoryBytes: readMemory(find(root, 'memory'), what),
      cpus: readCpus(find(root, 'vcpu'), what),
      firmware: isUefi(root) ? 'uefi' : 'bios',
    },
    disks: devices === undefined ? [] : diskElementsOf(devices).map(readDisk),
  }
}

/** `<disk>` elements that are disks, in document order: the order that disk indices count. */
export const diskElementsOf = (devices: XmlElement): XmlElement[] =>
  childrenOf(devices, 'disk').filter((disk) => ['disk', 'lun'].includes(deviceOf(disk)))

/** disk, lun, cdrom or floppy. */
export const deviceOf = (disk: XmlElement): string => attributeOf(disk, 'device') ?? 'disk'

function readDisk(element: XmlElement): DomainDisk {
  const source = find(element, 'source')
  const type = attributeOf(element, 'type') ?? 'file'
  const common = {
    element,
    target: attributeOf(find(element, 'target'), 'dev') ?? '?',
    driverType: attributeOf(find(element, 'driver'), 'type'),
  }
  if (type === 'file') return { ...common, type, source: attributeOf(source, 'file') ?? '' }
  if (type === 'block') return { ...common, type, source: attributeOf(source, 'dev') ?? '' }
  if (type === 'network') return { ...common, type, source: networkSource(source) }
  return {
    ...common,
    type: 'other',
    source: attributeOf(source, 'volume') ?? attributeOf(source, 'dir') ?? type,
  }
}

/** iscsi://192.0.2.1:3260/iqn.2026-11.example:web/1 */
function networkSource(source: XmlElement | undefined): string {
  const host = source === undefined ? undefined : find(source, 'host')
  const address = [attributeOf(host, 'name'), attributeOf(host, 'port')]
    .filter((part) => part !== undefined)
    .join(':')
  return `${attributeOf(source, 'protocol') ?? 'network'}://${address}/${attributeOf(source, 'name') ?? ''}`
}

/** Units of libvirt's scaled integers; without one it is KiB. */
const memoryUnits: Record<string, number> = {
  b: 1,
  bytes: 1,
  KB: 1e3,
  k: 1024,
  KiB: 1024,
  MB: 1e6,
  M: 1024 ** 2,
  MiB: 1024 ** 2,
  GB: 1e9,
  G: 1024 ** 3,
  GiB: 1024 ** 3,
  TB: 1e12,
  T: 1024 ** 4,
  TiB: 1024 ** 4,
}

function readMemory(memory: XmlElement | undefined, what: string): number {
  const value = textOf(memory) ?? ''
  const bytes = /^\d+$/.test(value)
    ? Number(value) * (memoryUnits[attributeOf(memory, 'unit') ?? 'KiB'] ?? 0)
    : 0
  if (bytes <= 0 || !Number.isSafeInteger(bytes))
    throw new AppError('bad-request', `${what} does not say how much memory the VM has`)
  return bytes
}

function readCpus(vcpu: XmlElement | undefined, what: string): number {
  const value = textOf(vcpu) ?? '1'
  const cpus = Number(value)
  if (!/^\d{1,5}$/.test(value) || cpus < 1)
    throw new AppError('bad-request', `${what} does not say how many CPUs the VM has`)
  return cpus
}

function isUefi(root: XmlElement): boolean {
  const os = find(root, 'os')
  if (os === undefined) return false
  const loader = find(os, 'loader')
  return (
    attributeOf(os, 'firmware') === 'efi' ||
    attributeOf(loader, 'type') === 'pflash' ||
    find(os, 'nvram') !== undefined
  )
}
