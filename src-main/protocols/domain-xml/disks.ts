import type { ImageFormat } from '#shared/domain/compute.ts'
import { libvirtFormat } from '../images/container-disk.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { attributeOf, elementsOf, find, localName, makeElement, type XmlElement } from '../xml/xml.ts'

/** What of a `<disk>` belongs to where it was kept and not to the guest's view of it. */
const storageParts = new Set([
  'driver',
  'source',
  'backingStore',
  'mirror',
  'auth',
  'encryption',
  'alias',
  'shareable',
])

const without = (element: XmlElement, names: ReadonlySet<string>): XmlElement[] =>
  elementsOf(element).filter((child) => !names.has(localName(child.name)))

/**
 * Points a disk at a file of a stated format. The format is always written: a hypervisor that guesses it can be made
 * by the guest to open other files. `error_policy='stop'`: a full container pauses the VM instead of losing writes.
 */
export const setDiskFile = (disk: XmlElement, path: string, format: ImageFormat): void =>
  setDisk(disk, 'file', libvirtFormat(format), makeElement('source', { file: path }))

/** A region of a LUN that the hypervisor opens by itself. */
export interface LunRegion {
  /** host:port or [address]:port. */
  readonly portal: string
  readonly target: string
  readonly lun: number
  /** The name to log in with. */
  readonly initiator: string
  readonly offsetBytes: number
  readonly sizeBytes: number
}

/** Points a disk at a region of a LUN: the guest sees nothing before or behind it. */
export function setDiskLunRegion(disk: XmlElement, region: LunRegion): void {
  const { host, port } = splitPortal(region.portal)
  setDisk(
    disk,
    'network',
    'raw',
    makeElement('source', { protocol: 'iscsi', name: `${region.target}/${region.lun}` }, [
      makeElement('host', { name: host, port }),
      makeElement('initiator', {}, [makeElement('iqn', { name: region.initiator })]),
      makeElement('slices', {}, [
        makeElement('slice', {
          type: 'storage',
          offset: String(region.offsetBytes),
          size: String(region.sizeBytes),
        }),
      ]),
    ]),
  )
}

/** What setDiskLunRegion has written; undefined for any other disk. */
export function readDiskLunRegion(disk: XmlElement): LunRegion | undefined {
  const source = find(disk, 'source')
  if (source === undefined || attributeOf(source, 'protocol') !== 'iscsi') return undefined
  const [, target, lun] = /^(.+)\/(\d+)$/.exec(attributeOf(source, 'name') ?? '') ?? []
  const host = attributeOf(find(source, 'host'), 'name')
  const port = attributeOf(find(source, 'host'), 'port')
  const initiator = attributeOf(find(source, 'initiator', 'iqn'), 'name')
  const slice = find(source, 'slices', 'slice')
  const offsetBytes = Number(attributeOf(slice, 'offset'))
  const sizeBytes = Number(attributeOf(slice, 'size'))
  if (target === undefined || host === undefined || port === undefined || initiator === undefined)
    return undefined
  if (!Number.isSafeInteger(offsetBytes) || !Number.isSafeInteger(sizeBytes)) return undefined
  const portal = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  return { portal, target, lun: Number(lun), initiator, offsetBytes, sizeBytes }
}

function splitPortal(portal: string): { host: string; port: string } {
  const [, host, port] = /^\[?([^[\]]+?)\]?:(\d+)$/.exec(portal) ?? []
  if (host === undefined || port === undefined)
    throw new AppError('bad-request', `"${portal}" is not the address of a portal`)
  return { host, port }
}

function setDisk(disk: XmlElement, type: 'file' | 'network', driverType: string, source: XmlElement): void {
  const driver = new Map(find(disk, 'driver')?.attributes)
  driver.set('name', 'qemu')
  driver.set('type', driverType)
  driver.set('error_policy', 'stop')
  disk.attributes.set('type', type)
  disk.attributes.set('device', 'disk')
  disk.children = [
    { name: 'driver', attributes: driver, children: [] },
    source,
    ...without(disk, storageParts),
  ]
}

/** Takes the medium out of a CD-ROM or floppy drive. */
export function emptyDrive(drive: XmlElement): void {
  drive.attributes.set('type', 'file')
  drive.children = without(drive, storageParts)
}
