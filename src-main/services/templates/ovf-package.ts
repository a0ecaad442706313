import { createHash } from 'node:crypto'
import { AppError } from '#shared/errors/app-error.ts'
import { KiB, MiB } from '#shared/units/bytes.ts'
import { isPlainName } from '#main/protocols/ovf/read-ovf.ts'
import { parseManifest, type Digest } from '#main/protocols/ovf/manifest.ts'
import { decodePax, decodeTarHeader, tarBlockBytes } from '#main/protocols/tar/tar-header.ts'
import { maxXmlBytes } from '#main/protocols/xml/xml.ts'
import { partOf, readText, type SourceBytes, type SourceFiles } from './source-files.ts'

const maxEntries = 1000
const maxManifestBytes = MiB
const maxExtendedHeaderBytes = 64 * KiB

/** An OVF package: a descriptor with its files beside it, or all in one archive. */
export interface OvfPackage {
  readonly descriptor: string
  readonly digests: ReadonlyMap<string, Digest>
  readonly warnings: readonly string[]
  /** By its name in the package. Throws not-found. */
  file(name: string): Promise<SourceBytes>
}

/** Opens an .ovf file or an .ova archive, told apart by content; the descriptor is checked against the manifest. */
export async function openOvfPackage(path: string, files: SourceFiles): Promise<OvfPackage> {
  const whole = await files.open(path)
  const start = new TextDecoder().decode(await whole.read(257, 5))
  return start === 'ustar' ? openArchive(whole) : openFolder(whole, files)
}

async function openFolder(whole: SourceBytes, files: SourceFiles): Promise<OvfPackage> {
  const { path } = files
  const folder = path.dirname(whole.name)
  const name = path.basename(whole.name)
  const file = async (wanted: string): Promise<SourceBytes> => ({
    ...(await files.open(path.join(folder, wanted), folder)),
    name: wanted,
  })
  const beside = (ending: string): Promise<SourceBytes | undefined> =>
    file(name.replace(/\.[^.]*$/, ending)).catch((error: unknown) => {
      if (error instanceof AppError && error.code === 'not-found') return undefined
      throw error
    })
  const [manifest, certificate] = await Promise.all([beside('.mf'), beside('.cert')])
  return finishPackage({ ...whole, name }, manifest, certificate !== undefined, [], file)
}

async function openArchive(whole: SourceBytes): Promise<OvfPackage> {
  const entries = await listEntries(whole)
  const ending = (text: string): SourceBytes[] =>
    [...entries.values()].filter((entry) => entry.name.toLowerCase().endsWith(text))
  const [descriptor, ...others] = ending('.ovf')
  if (descriptor === undefined || others.length > 0)
    throw new AppError('bad-request', 'The archive must have exactly one OVF descriptor', {
      object: whole.name,
    })
  const file = async (wanted: string): Promise<SourceBytes> => {
    const entry = entries.get(wanted)
    if (entry === undefined)
      throw new AppError('not-found', `"${wanted}" is not in the archive`, { object: whole.name })
    return entry
  }
  return finishPackage(descriptor, ending('.mf')[0], ending('.cert').length > 0, [], file)
}

async function finishPackage(
  descriptorFile: SourceBytes,
  manifest: SourceBytes | undefined,
  signed: boolean,
  warnings: string[],
  file: OvfPackage['file'],
): Promise<OvfPackage> {
  const descriptor = await readText(descriptorFile, maxXmlBytes)
  const digests =
    manifest === undefined
      ? new Map<string, Digest>()
      : parseManifest(await readText(manifest, maxManifestBytes))
  if (manifest === undefined)
    warnings.push('The OVF has no manifest, so its disks cannot be checked against checksums')
  if (signed) warnings.push('The signature of the OVF is not checked')
  const digest = digests.get(descriptorFile.name)
  const bytes = await descriptorFile.read(0, descriptorFile.sizeBytes)
  if (digest !== undefined && createHash(digest.algorithm).update(bytes).digest('hex') !== digest.hex)
    throw new AppError('bad-request', 'The OVF descriptor is not the one of its manifest', {
      object: descriptorFile.name,
      advice: 'Fetch or export the package again.',
    })
  return { descriptor, digests, warnings, file }
}

/**
 * The entries of a tar archive, by reading its headers alone: an archive of many gigabytes takes milliseconds.
 * Refuses names with paths, links, devices, repeated names and an archive that ends early (bad-request).
 */
async function listEntries(whole: SourceBytes): Promise<Map<string, SourceBytes>> {
  const entries = new Map<string, SourceBytes>()
  const refuse = (why: string): AppError =>
    new AppError('bad-request', `The archive is not accepted: ${why}`, { object: whole.name })
  let offset = 0
  let extended: { name?: string; sizeBytes?: number } = {}
  for (let count = 0; offset < whole.sizeBytes; count += 1) {
    if (count > maxEntries) throw refuse(`it has more than ${maxEntries} entries`)
    const header = decodeTarHeader(await whole.read(offset, tarBlockBytes))
    if (header === undefined) break
    const name = extended.name ?? header.name
    const sizeBytes = extended.sizeBytes ?? header.sizeBytes
    const start = offset + tarBlockBytes
    if (start + sizeBytes > whole.sizeBytes)
      throw refuse(`"${name}" should have ${sizeBytes} bytes, but the archive ends before`)
    if (header.type === 'x' || header.type === 'L' || header.type === 'g') {
      if (sizeBytes > maxExtendedHeaderBytes) throw refuse('an extended header is too large')
      const bytes = await whole.read(start, sizeBytes)
      if (header.type === 'x') extended = decodePax(bytes)
      if (header.type === 'L') extended = { name: new TextDecoder().decode(bytes).replace(/\0.*$/s, '') }
    } else {
      if (header.type !== '0') throw refuse(`"${name}" is a link, directory or device (type ${header.type})`)
      if (!isPlainName(name)) throw refuse(`"${name.slice(0, 200)}" is not a plain file name`)
      if (entries.has(name)) throw refuse(`"${name}" is there twice`)
      entries.set(name, partOf(whole, name, start, sizeBytes))
      extended = {}
    }
    offset = start + Math.ceil(sizeBytes / tarBlockBytes) * tarBlockBytes
  }
  return entries
}
