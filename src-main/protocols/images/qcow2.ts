import { checkedVirtualSize, malformed, unsupported, viewOf, type ImageFacts } from './image-facts.ts'

const incompatible = { dirty: 0x1n, corrupt: 0x2n, externalData: 0x4n, compression: 0x8n, extendedL2: 0x10n }
const understood =
  incompatible.dirty |
  incompatible.corrupt |
  incompatible.externalData |
  incompatible.compression |
  incompatible.extendedL2

/**
 * Header of qcow2 (QEMU docs/interop/qcow2.txt), big endian:
 *
 *     0 magic "QFI\xfb"   4 version   8 backing file offset (8)   16 its length   20 cluster bits   24 size (8)
 *     32 encryption   36 L1 size   60 number of snapshots   72 incompatible features (8, version 3)
 */
export function readQcow2(name: string, head: Uint8Array): ImageFacts {
  const view = viewOf(name, head, 72, 0)
  const version = view.getUint32(4)
  if (version !== 2 && version !== 3)
    throw unsupported(name, `is a qcow image of version ${version}`, 'Convert it: qemu-img convert -O qcow2.')
  if (view.getBigUint64(8) !== 0n)
    throw unsupported(
      name,
      'needs a backing file, which would not be in the container',
      'Make one file of it first: qemu-img convert -O qcow2 writes the whole chain into a new image.',
    )
  const clusterBits = view.getUint32(20)
  if (clusterBits < 9 || clusterBits > 21)
    throw malformed(name, `cluster bits at offset 20 are ${clusterBits}`)
  if (view.getUint32(32) !== 0)
    throw unsupported(name, 'is encrypted', 'Convert it to an image without encryption first.')
  const features = version === 3 ? viewOf(name, head, 80, 0).getBigUint64(72) : 0n
  if ((features & incompatible.externalData) !== 0n)
    throw unsupported(
      name,
      'keeps its data in another file, which would not be in the container',
      'Make one file of it first: qemu-img convert -O qcow2.',
    )
  if ((features & ~understood) !== 0n)
    throw unsupported(
      name,
      `uses qcow2 features that are not known here (0x${(features & ~understood).toString(16)})`,
      'Convert it: qemu-img convert -O qcow2.',
    )
  if ((features & incompatible.corrupt) !== 0n)
    throw malformed(name, 'it is marked as corrupt (see: qemu-img check)')
  return {
    format: 'qcow2',
    virtualSizeBytes: checkedVirtualSize(name, view.getBigUint64(24)),
    grows: true,
    snapshots: view.getUint32(60),
    unclean: (features & incompatible.dirty) !== 0n,
  }
}
