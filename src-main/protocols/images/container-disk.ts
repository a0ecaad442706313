import type { ImageFormat, TemplateFile } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import type { ImageFacts } from './image-facts.ts'

/** A disk image that was found for a template, in the order of the VM's disks. */
export interface FoundImage {
  /** As {@link TemplateFile}.source: absolute path, or the name in an archive. */
  readonly source: string
  readonly sizeBytes: number
  readonly facts: ImageFacts
  /** What the configuration or the user called it, where they did. */
  readonly claimedFormat?: ImageFormat
}

/** Format names of the hypervisor (libvirt, qemu-img) -> ours. */
const formatNames: Record<string, ImageFormat> = {
  raw: 'raw',
  qcow2: 'qcow2',
  vpc: 'vhd',
  vhd: 'vhd',
  vhdx: 'vhdx',
  vmdk: 'vmdk',
}
export const parseImageFormat = (text: string): ImageFormat | undefined => formatNames[text]

/**
 * Formats that no VM runs from: libvirt does not know VHDX, and a VMDK of an OVA is compressed for transport. Staging
 * converts them to qcow2.
 */
export const needsConversion = (format: ImageFormat): boolean => format === 'vhdx' || format === 'vmdk'

/** The hypervisor's name of a format. */
export const libvirtFormat = (format: ImageFormat): string => (format === 'vhd' ? 'vpc' : format)

/** Name of a disk in a container's file system. */
export const containerDiskName = (index: number, format: ImageFormat): string => `disk${index}.${format}`

const extensions: Record<string, ImageFormat> = {
  qcow2: 'qcow2',
  vhd: 'vhd',
  vpc: 'vhd',
  vhdx: 'vhdx',
  vmdk: 'vmdk',
  raw: 'raw',
}
/** What a file's name claims it to be; undefined for endings such as ".img" that claim nothing. */
export const formatOfName = (name: string): ImageFormat | undefined =>
  extensions[/\.([A-Za-z0-9]+)$/.exec(name)?.[1]?.toLowerCase() ?? '']

/** The template's disk file. Throws bad-request when the image is not what it was said to be. */
export function toTemplateFile(image: FoundImage, index: number): TemplateFile {
  const { facts, claimedFormat } = image
  if (claimedFormat !== undefined && claimedFormat !== facts.format)
    throw new AppError(
      'bad-request',
      `"${image.source}" is a ${facts.format} image but is called ${claimedFormat}`,
      {
        object: image.source,
        facts: { 'by its content': facts.format, 'by its name or configuration': claimedFormat },
        advice:
          'Correct the format in the configuration or the ending of the name; a wrong one makes the guest read garbage.',
      },
    )
  return {
    source: image.source,
    name: containerDiskName(index, facts.format),
    sizeBytes: image.sizeBytes,
    disk: { index, format: facts.format, virtualSizeBytes: facts.virtualSizeBytes },
  }
}

/** What the user should know about a disk before it is staged. */
export function imageWarnings(image: FoundImage, index: number): string[] {
  const { facts } = image
  const disk = `disk${index} (${image.source})`
  const warnings: string[] = []
  if (needsConversion(facts.format))
    warnings.push(
      `${disk} is a ${facts.format.toUpperCase()}; it is converted to qcow2 when it is staged and may then take up to ${formatBytes(facts.virtualSizeBytes)}`,
    )
  else if (facts.grows && facts.virtualSizeBytes > image.sizeBytes)
    warnings.push(
      `${disk} grows: it has ${formatBytes(image.sizeBytes)} now and may reach ${formatBytes(facts.virtualSizeBytes)}; a container that is smaller stops the VM when it is full`,
    )
  if (facts.snapshots > 0)
    warnings.push(
      `${disk} holds ${facts.snapshots} snapshots of its own; they are staged with it and take space`,
    )
  if (facts.unclean) warnings.push(`${disk} was not closed cleanly; the guest finds it as after a power cut`)
  return warnings
}
