import { sectorBytes } from '#shared/units/bytes.ts'
import {
  asciiAt,
  checkedVirtualSize,
  malformed,
  unsupported,
  viewOf,
  type Inspection,
} from './image-facts.ts'

const maxDescriptorSectors = 128n
const convert = 'Make one file of it first: qemu-img convert -O qcow2, or export it as an OVA.'

/** A text that begins so is the descriptor of a disk in several files. */
export const vmdkDescriptorStart = '# Disk DescriptorFile'

export const refuseVmdkDescriptor = (name: string): never => {
  throw unsupported(name, 'only describes a VMDK disk whose data are in other files', convert)
}

/**
 * Sparse extent of a VMDK (Virtual Disk Format 5.0), little endian, sizes in sectors:
 *
 *     0 "KDMV"   4 version   12 capacity (8)   28 descriptor offset (8)   36 descriptor size (8)   72 unclean shutdown
 *
 * The descriptor is text and tells whether the disk is whole: parentCID, createType.
 */
export function* readVmdk(name: string, head: Uint8Array): Inspection {
  const view = viewOf(name, head, 80, 0)
  const version = view.getUint32(4, true)
  if (version < 1 || version > 3) throw malformed(name, `the VMDK version at offset 4 is ${version}`)
  const descriptorSector = view.getBigUint64(28, true)
  const descriptorSectors = view.getBigUint64(36, true)
  if (descriptorSector === 0n || descriptorSectors === 0n)
    throw unsupported(name, 'is one part of a VMDK disk in several files', convert)
  if (descriptorSector > 1n << 20n || descriptorSectors > maxDescriptorSectors)
    throw malformed(
      name,
      `its descriptor would lie at sector ${descriptorSector} with ${descriptorSectors} sectors`,
    )
  const virtualSizeBytes = checkedVirtualSize(name, view.getBigUint64(12, true) * BigInt(sectorBytes))

  const offset = Number(descriptorSector) * sectorBytes
  const [bytes] = yield [{ offset, lengthBytes: Number(descriptorSectors) * sectorBytes }]
  viewOf(name, bytes, sectorBytes, offset)
  const descriptor = bytes === undefined ? '' : asciiAt(bytes, 0, bytes.length).replace(/\0[\s\S]*$/, '')
  const createType = /^createType\s*=\s*"([^"]*)"/m.exec(descriptor)?.[1]
  if (createType === undefined)
    throw unsupported(name, 'is one part of a VMDK disk in several files', convert)
  if (createType !== 'monolithicSparse' && createType !== 'streamOptimized')
    throw unsupported(name, `is a VMDK of type ${createType}`, convert)
  const parent = /^parentCID\s*=\s*([0-9a-f]+)/im.exec(descriptor)?.[1]
  if (parent !== undefined && parent.toLowerCase() !== 'ffffffff')
    throw unsupported(name, 'is a delta of another VMDK, which would not be in the container', convert)
  if ((descriptor.match(/^(RW|RDONLY|NOACCESS)\s/gm) ?? []).length !== 1)
    throw unsupported(name, 'is a VMDK with more than one extent', convert)
  return { format: 'vmdk', virtualSizeBytes, grows: true, snapshots: 0, unclean: view.getUint8(72) !== 0 }
}
