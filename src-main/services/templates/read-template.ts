import type { Template, TemplateSource } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import { completeDomainTemplate, readDomainTemplate } from '#main/protocols/domain-xml/template-domain.ts'
import { formatOfName } from '#main/protocols/images/container-disk.ts'
import {
  completeImageTemplate,
  folderImages,
  nameOfImage,
  toVmName,
  type BuildConfiguration,
} from '#main/protocols/images/image-template.ts'
import { readOvf } from '#main/protocols/ovf/read-ovf.ts'
import { maxXmlBytes } from '#main/protocols/xml/xml.ts'
import { openOvfPackage } from './ovf-package.ts'
import { inspectImages, readText, type OpenSourceFiles, type SourceFiles } from './source-files.ts'

export interface ConsoleTemplateDeps {
  /** Of the staging host's driver. */
  readonly buildConfiguration: BuildConfiguration
  readonly openSourceFiles: OpenSourceFiles
  readonly signal: AbortSignal
}

type Source<K extends TemplateSource['kind']> = Extract<TemplateSource, { kind: K }>

/**
 * Reads a template of files that the console reads: everything that staging must know, without copying anything.
 * Throws not-found, auth-failed (no right to read), bad-request (damaged, inconsistent or hostile), not-supported, and
 * what the connection to a server throws.
 */
export async function readConsoleTemplate(
  source: TemplateSource,
  deps: ConsoleTemplateDeps,
): Promise<Template> {
  deps.signal.throwIfAborted()
  if (source.kind === 'domain' || source.on === 'host')
    throw new AppError('bug', `A template of kind ${source.kind} is read by its host, not by the console`)
  const files = deps.openSourceFiles(source.on, deps.signal)
  switch (source.kind) {
    case 'folder':
      return readFolder(source, files, deps)
    case 'image':
      return readImages(source, files, deps)
    case 'ovf':
      return readOvfTemplate(source, files, deps)
  }
}

async function readFolder(
  source: Source<'folder'>,
  from: SourceFiles,
  { signal }: ConsoleTemplateDeps,
): Promise<Template> {
  const names = await from.list(source.path)
  const [configuration, ...others] = names.filter((name) => /\.xml$/i.test(name))
  if (configuration === undefined || others.length > 0)
    throw new AppError(
      'bad-request',
      `The folder has ${configuration === undefined ? 0 : others.length + 1} configurations (*.xml); it must have one`,
      { object: source.path },
    )
  const file = await from.open(from.path.join(source.path, configuration), source.path)
  const template = readDomainTemplate(await readText(file, maxXmlBytes), `The configuration ${configuration}`)
  const images = folderImages(template.images, source.path, from.path.sep)
  const files = await Promise.all(
    images.map(async ({ path, ...claim }) => ({ file: await from.open(path, source.path), ...claim })),
  )
  return completeDomainTemplate(source, template, await inspectImages(files, signal))
}

async function readImages(
  source: Source<'image'>,
  from: SourceFiles,
  deps: ConsoleTemplateDeps,
): Promise<Template> {
  const files = await Promise.all(
    source.paths.map(async (path) => {
      const claimedFormat = formatOfName(path)
      const file = await from.open(path)
      return claimedFormat === undefined ? { file } : { file, claimedFormat }
    }),
  )
  return completeImageTemplate({
    source,
    name: nameOfImage(source.paths[0] ?? ''),
    hardware: source.hardware,
    images: await inspectImages(files, deps.signal),
    buildConfiguration: deps.buildConfiguration,
  })
}

async function readOvfTemplate(
  source: Source<'ovf'>,
  from: SourceFiles,
  deps: ConsoleTemplateDeps,
): Promise<Template> {
  const ovf = await openOvfPackage(source.path, from)
  const descriptor = readOvf(ovf.descriptor)
  const warnings = [...ovf.warnings, ...descriptor.warnings]
  const files = await Promise.all(
    descriptor.disks.map(async (disk) => {
      const file = await ovf.file(disk.fileName)
      if (disk.fileSizeBytes !== undefined && disk.fileSizeBytes !== file.sizeBytes)
        throw new AppError(
          'bad-request',
          `"${disk.fileName}" has ${file.sizeBytes} bytes, its descriptor says ${disk.fileSizeBytes}`,
          { object: disk.fileName, advice: 'Fetch or export the package again.' },
        )
      if (ovf.digests.size > 0 && !ovf.digests.has(disk.fileName))
        warnings.push(`"${disk.fileName}" is not in the manifest, so it cannot be checked`)
      return { file }
    }),
  )
  const images = await inspectImages(files, deps.signal)
  for (const [index, { facts, source: name }] of images.entries()) {
    const capacity = descriptor.disks[index]?.capacityBytes
    if (capacity !== undefined && capacity !== facts.virtualSizeBytes)
      warnings.push(
        `"${name}" is a disk of ${formatBytes(facts.virtualSizeBytes)}, its descriptor says ${formatBytes(capacity)}`,
      )
  }
  // A guest that was exported from another hypervisor has drivers for SATA, and often none for virtio.
  return completeImageTemplate({
    source,
    name: toVmName(descriptor.name),
    hardware: { ...descriptor.hardware, diskBus: 'sata' },
    images,
    buildConfiguration: deps.buildConfiguration,
    warnings,
  })
}
