import type { ImageFormat } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { find, formatXml } from '../xml/xml.ts'
import { setDiskFile } from './disks.ts'
import { diskElementsOf, readDomain } from './read-domain.ts'

/** A domain's configuration with each disk by the name of its file alone. Throws bad-request when a disk is missing. */
export function nameDisks(
  text: string,
  disks: readonly { readonly index: number; readonly format: ImageFormat; readonly name: string }[],
): string {
  const { root } = readDomain(text, 'The configuration in the container')
  const devices = find(root, 'devices')
  for (const [index, element] of (devices === undefined ? [] : diskElementsOf(devices)).entries()) {
    const disk = disks.find((candidate) => candidate.index === index)
    if (disk === undefined)
      throw new AppError('bad-request', `The container has no disk ${index} of its configuration`)
    setDiskFile(element, disk.name, disk.format)
  }
  return `${formatXml(root)}\n`
}
