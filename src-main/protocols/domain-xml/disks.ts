import type { ImageFormat } from '#shared/domain/compute.ts'
import { libvirtFormat } from '../images/container-disk.ts'
import { elementsOf, find, localName, makeElement, type XmlElement } from '../xml/xml.ts'

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
export function setDiskFile(disk: XmlElement, path: string, format: ImageFormat): void {
  const driver = new Map(find(disk, 'driver')?.attributes)
  driver.set('name', 'qemu')
  driver.set('type', libvirtFormat(format))
  driver.set('error_policy', 'stop')
  disk.attributes.set('type', 'file')
  disk.attributes.set('device', 'disk')
  disk.children = [
    { name: 'driver', attributes: driver, children: [] },
    makeElement('source', { file: path }),
    ...without(disk, storageParts),
  ]
}

/** Takes the medium out of a CD-ROM or floppy drive. */
export function emptyDrive(drive: XmlElement): void {
  drive.attributes.set('type', 'file')
  drive.children = without(drive, storageParts)
}
