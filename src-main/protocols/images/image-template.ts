import type { ImageFormat, Template, TemplateSource, VmConfiguration } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { assembleTemplate, type NamedImage } from '../domain-xml/template-domain.ts'
import type { FoundImage } from './container-disk.ts'

/** As {@link HostDriver.buildConfiguration} of the hosts' contract. */
export type BuildConfiguration = (
  vm: Template['vm'],
  disks: readonly { readonly name: string; readonly format: ImageFormat }[],
) => VmConfiguration

/**
 * Images of a folder's configuration, which names them by wherever they once lay: only their last parts count, and
 * only in this folder. `separator` is that of the folder's system.
 */
export const folderImages = (
  images: readonly NamedImage[],
  folder: string,
  separator: '/' | '\\',
): NamedImage[] => {
  const seen = new Set<string>()
  return images.map((image) => {
    const base = image.path.slice(Math.max(image.path.lastIndexOf('/'), image.path.lastIndexOf('\\')) + 1)
    if (base === '' || base === '.' || base === '..')
      throw new AppError('bad-request', `The configuration names no image file ("${image.path}")`)
    if (seen.has(base))
      throw new AppError(
        'bad-request',
        `The configuration names two images "${base}", the folder can hold one`,
      )
    seen.add(base)
    return { ...image, path: `${folder.replace(/[/\\]+$/, '')}${separator}${base}` }
  })
}

/** "/images/Web Server.qcow2" -> "Web-Server": a name for the VM of an image. */
export function nameOfImage(path: string): string {
  const base = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1)
  return toVmName(base.replace(/\.[A-Za-z0-9]{1,6}$/, ''))
}

/** Any text as a name that every hypervisor takes. */
export const toVmName = (text: string): string =>
  text
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 63) || 'template'

const foreignFormats = new Set<ImageFormat>(['vhd', 'vhdx', 'vmdk'])

/** A template of images for which the hardware is given; the hypervisor's driver writes the configuration. */
export function completeImageTemplate(parts: {
  readonly source: TemplateSource
  readonly name: string
  readonly hardware: Omit<Template['vm'], 'name' | 'uuid'>
  readonly images: readonly FoundImage[]
  readonly buildConfiguration: BuildConfiguration
  readonly warnings?: readonly string[]
}): Template {
  const { memoryBytes, cpus, firmware, diskBus } = parts.hardware
  const vm = { name: parts.name, memoryBytes, cpus, firmware, ...(diskBus === undefined ? {} : { diskBus }) }
  const warnings = [...(parts.warnings ?? [])]
  if (diskBus !== 'sata' && parts.images.some((image) => foreignFormats.has(image.facts.format)))
    warnings.push(
      'The disks are attached by virtio; a guest from another hypervisor may lack its drivers (choose the disk bus sata then)',
    )
  warnings.push(
    'The network is the user-mode network of QEMU; attach the VM to a network of the host after its deployment',
  )
  return assembleTemplate({
    source: parts.source,
    vm,
    images: parts.images,
    warnings,
    configuration: (files) =>
      parts.buildConfiguration(
        vm,
        files.flatMap(({ name, disk }) => (disk === undefined ? [] : [{ name, format: disk.format }])),
      ),
  })
}
