import { AppError } from '#shared/errors/app-error.ts'
import { KiB, sectorBytes } from '#shared/units/bytes.ts'
import { asciiAt, checkedVirtualSize, unsupported, type ImageFacts, type Inspection } from './image-facts.ts'
import { readQcow2 } from './qcow2.ts'
import { checkFixedVhd, readVhd, vhdFooterBytes } from './vhd.ts'
import { readVhdx } from './vhdx.ts'
import { readVmdk, refuseVmdkDescriptor, vmdkDescriptorStart } from './vmdk.ts'

const headBytes = 4 * KiB

/** First bytes of what people hand over as a disk and what is none; [offset, bytes, what it is, what to do]. */
const otherKinds: readonly (readonly [number, string, string, string])[] = [
  [0, '\x1f\x8b', 'is compressed with gzip', 'Unpack it first: gunzip.'],
  [0, '\xfd7zXZ\0', 'is compressed with xz', 'Unpack it first: xz -d.'],
  [0, '\x28\xb5\x2f\xfd', 'is compressed with zstd', 'Unpack it first: zstd -d.'],
  [0, 'BZh', 'is compressed with bzip2', 'Unpack it first: bunzip2.'],
  [0, 'PK\x03\x04', 'is a ZIP archive', 'Unpack it first.'],
  [0, '7z\xbc\xaf\x27\x1c', 'is a 7-Zip archive', 'Unpack it first.'],
  [257, 'ustar', 'is a tar archive', 'If it is an OVA, stage it as an OVF template.'],
  [0, 'COWD', 'is a sparse VMDK of ESX', 'Convert it: qemu-img convert -O qcow2.'],
  [0, 'QED\0', 'is a QED image', 'Convert it: qemu-img convert -O qcow2.'],
  [64, '\x7f\x10\xda\xbe', 'is a VirtualBox VDI image', 'Convert it: qemu-img convert -O qcow2.'],
  [0, '<?xml', 'is an XML file', 'Name the disk image, not its configuration.'],
]

/**
 * Which disk image a file of this size is, by its bytes alone (see {@link Inspection} for how bytes are asked for).
 * `name` is for messages. Throws bad-request for a damaged image or a file that is none, not-supported for an image
 * that cannot stand alone (backing file, parent, several files), is encrypted, or is of another kind.
 */
export function* inspectImage(name: string, sizeBytes: number): Inspection {
  const footerAt = Math.max(0, sizeBytes - vhdFooterBytes)
  const [head = new Uint8Array(), tail = new Uint8Array()] = yield [
    { offset: 0, lengthBytes: Math.min(headBytes, sizeBytes) },
    { offset: footerAt, lengthBytes: vhdFooterBytes },
  ]
  const start = asciiAt(head, 0, 8)
  if (start.startsWith('QFI\xfb')) return readQcow2(name, head)
  if (start === 'vhdxfile') return yield* readVhdx(name)
  if (start.startsWith('KDMV')) return yield* readVmdk(name, head)
  if (asciiAt(head, 0, vmdkDescriptorStart.length) === vmdkDescriptorStart) refuseVmdkDescriptor(name)
  if (sizeBytes < sectorBytes)
    throw new AppError('bad-request', `"${name}" is no disk image: it has ${sizeBytes} bytes`, {
      object: name,
    })
  if (asciiAt(tail, 0, 8) === 'conectix') {
    const facts = readVhd(name, tail, footerAt)
    if (!facts.grows) checkFixedVhd(name, facts, sizeBytes)
    return facts
  }
  // The copy at the beginning of a growing VHD without the footer itself: the end of the file is missing.
  if (start === 'conectix')
    throw new AppError('bad-request', `"${name}" is a VHD whose end is missing`, {
      object: name,
      advice: 'Fetch or export the image again and compare its checksum.',
    })
  for (const [offset, bytes, what, advice] of otherKinds)
    if (asciiAt(head, offset, bytes.length) === bytes) throw unsupported(name, what, advice)
  return readRaw(name, sizeBytes)
}

/** Raw has no sign of its own; what is left must at least be whole sectors. */
function readRaw(name: string, sizeBytes: number): ImageFacts {
  if (sizeBytes % sectorBytes !== 0)
    throw new AppError(
      'bad-request',
      `"${name}" is no disk image of a known format, and its size (${sizeBytes} bytes) is not that of a raw disk`,
      { object: name, advice: 'Check that the file is a disk image and that it was copied to its end.' },
    )
  const virtualSizeBytes = checkedVirtualSize(name, BigInt(sizeBytes))
  return { format: 'raw', virtualSizeBytes, grows: false, snapshots: 0, unclean: false }
}
