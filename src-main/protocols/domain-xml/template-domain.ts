import type { ImageFormat, Template, TemplateSource } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { imageWarnings, parseImageFormat, toTemplateFile, type FoundImage } from '../images/container-disk.ts'
import {
  attributeOf,
  childrenOf,
  elementsOf,
  find,
  formatXml,
  localName,
  textOf,
  type XmlElement,
} from '../xml/xml.ts'
import { setDiskFile } from './disks.ts'
import { deviceOf, diskElementsOf, readDomain, type DomainDisk, type DomainFacts } from './read-domain.ts'

/** An image that a domain's configuration names. */
export interface NamedImage {
  readonly path: string
  readonly claimedFormat?: ImageFormat
}

/** A domain as a template before its images have been looked at. */
export interface DomainTemplate {
  readonly facts: DomainFacts
  readonly images: readonly NamedImage[]
  readonly warnings: readonly string[]
}

/**
 * Reads a domain's configuration as a template. Throws bad-request for what is none or has no disks, not-supported
 * for disks and boot files that lie elsewhere than in image files.
 */
export function readDomainTemplate(text: string, what: string): DomainTemplate {
  const facts = readDomain(text, what)
  const { root, disks, vm } = facts
  const object = `VM ${vm.name}`
  if (disks.length === 0)
    throw new AppError('bad-request', `${what} has no disks, so there is nothing to stage`, { object })
  const kernel = textOf(find(root, 'os', 'kernel'))
  if (kernel !== undefined)
    throw new AppError('not-supported', `The VM boots from a kernel file of its host (${kernel})`, {
      object,
      advice: 'Let it boot from its disk; a file outside its disks would not be in the container.',
    })
  return { facts, images: disks.map((disk) => namedImage(disk, object)), warnings: domainWarnings(root) }
}

function namedImage(disk: DomainDisk, object: string): NamedImage {
  const refuse = (why: string): AppError =>
    new AppError('not-supported', `Disk ${disk.target} ${why}`, {
      object,
      facts: { disk: disk.target, source: disk.source },
      advice: 'Copy the disk into an image file (qemu-img convert) and attach that instead.',
    })
  if (disk.type !== 'file' || deviceOf(disk.element) === 'lun')
    throw refuse(`is not an image file (${disk.type}: ${disk.source})`)
  if (disk.source === '')
    throw new AppError('bad-request', `Disk ${disk.target} names no image file`, { object })
  if (find(disk.element, 'source', 'slices') !== undefined) throw refuse('is only a slice of its file')
  if (find(disk.element, 'encryption') ?? find(disk.element, 'source', 'encryption'))
    throw refuse('is encrypted with a secret of its host')
  if (disk.driverType === undefined) return { path: disk.source }
  const claimedFormat = parseImageFormat(disk.driverType)
  if (claimedFormat === undefined) throw refuse(`has the format ${disk.driverType}`)
  return { path: disk.source, claimedFormat }
}

/** Parts of a configuration that do not travel with the disks. */
function domainWarnings(root: XmlElement): string[] {
  const warnings: string[] = []
  const devices = find(root, 'devices')
  const has = (name: string): boolean => devices !== undefined && childrenOf(devices, name).length > 0
  if (find(root, 'os', 'nvram') !== undefined)
    warnings.push(
      'The UEFI variables (boot entries, Secure Boot keys) are not staged; each VM starts with fresh ones',
    )
  if (has('tpm'))
    warnings.push('The contents of the TPM are not staged; keys that are sealed in it are not available')
  if (has('hostdev'))
    warnings.push('The VM uses devices of its host directly (hostdev); each host needs the same ones')
  if (has('filesystem'))
    warnings.push('The VM shares directories of its host (filesystem); they are not staged')
  if (
    elementsOf(root).some(
      (child) => child.name !== localName(child.name) && localName(child.name) === 'commandline',
    )
  )
    warnings.push('Arguments that are passed to QEMU directly (qemu:commandline) are left out')
  const media =
    devices === undefined ? [] : childrenOf(devices, 'disk').filter((disk) => deviceOf(disk) !== 'disk')
  if (media.some((drive) => attributeOf(find(drive, 'source'), 'file') !== undefined))
    warnings.push('Media in CD-ROM and floppy drives are not staged; the drives are empty')
  return warnings
}

/** A template from its parts; the disks are named by their order and their true format. */
export function assembleTemplate(parts: {
  readonly source: TemplateSource
  readonly vm: Template['vm']
  readonly images: readonly FoundImage[]
  readonly configuration: (files: Template['files']) => Template['configuration']
  readonly warnings: readonly string[]
}): Template {
  const files = parts.images.map(toTemplateFile)
  return {
    source: parts.source,
    name: parts.vm.name,
    vm: parts.vm,
    configuration: parts.configuration(files),
    files,
    warnings: [...parts.warnings, ...parts.images.flatMap(imageWarnings)],
  }
}

/** `images` in the order of `template.images`. The configuration is kept with disks by their names in the container. */
export function completeDomainTemplate(
  source: TemplateSource,
  template: DomainTemplate,
  images: readonly FoundImage[],
): Template {
  const { root, vm } = template.facts
  return assembleTemplate({
    source,
    vm,
    images,
    warnings: template.warnings,
    configuration: (files) => {
      const devices = find(root, 'devices')
      const disks = devices === undefined ? [] : diskElementsOf(devices)
      for (const [index, disk] of disks.entries()) {
        const file = files[index]
        if (file?.disk !== undefined) setDiskFile(disk, file.name, file.disk.format)
      }
      return { format: 'libvirt-xml', text: `${formatXml(root)}\n` }
    },
  })
}
