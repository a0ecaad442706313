import { copyFile, constants } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { AppError } from '#shared/errors/app-error.ts'
import { attributeOf, childrenOf, find, type XmlElement } from '#main/protocols/xml/xml.ts'
import { fileError, systemCode } from '#main/transports/local/file-errors.ts'
import { namesIn, parseJson, readText } from './files.ts'
import type { VmPlaces } from './places.ts'

/** Where QEMU's packages describe their firmware (docs/interop/firmware.json of QEMU), the user's own first. */
const folders = ['/etc/qemu/firmware', '/usr/share/qemu/firmware']

const descriptorSchema = z.object({
  'interface-types': z.array(z.string()),
  mapping: z.object({
    device: z.literal('flash'),
    executable: z.object({ filename: z.string() }),
    'nvram-template': z.object({ filename: z.string() }),
  }),
  targets: z.array(z.object({ architecture: z.string() })),
  features: z.array(z.string()),
})

/**
 * The code of a UEFI firmware without Secure Boot; the VM gets variables of its own, which stay over later starts.
 * Throws not-supported when there is none, or when the VM asks for Secure Boot.
 */
export async function prepareFirmware(root: XmlElement, places: VmPlaces, object: string): Promise<string> {
  const features = childrenOf(find(root, 'os', 'firmware') ?? root, 'feature')
  const isSecure = features.some(
    (feature) => attributeOf(feature, 'name') === 'secure-boot' && attributeOf(feature, 'enabled') === 'yes',
  )
  if (isSecure)
    throw new AppError('not-supported', 'The VM asks for Secure Boot, which this computer does not give it', {
      object,
      advice: 'Deploy it on a host with libvirt.',
    })
  const firmware = await findFirmware()
  if (firmware === undefined)
    throw new AppError('not-supported', 'The VM needs UEFI firmware, and none is installed for QEMU', {
      object,
      advice: 'Install it: ovmf (Debian, Ubuntu), edk2-ovmf (Red Hat).',
    })
  try {
    await copyFile(firmware.variables, places.firmwareVariables, constants.COPYFILE_EXCL)
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw fileError(error, places.firmwareVariables)
  }
  return firmware.code
}

async function findFirmware(): Promise<{ code: string; variables: string } | undefined> {
  for (const folder of folders)
    for (const name of (await namesIn(folder)).filter((entry) => entry.endsWith('.json')).toSorted()) {
      const text = await readText(join(folder, name))
      const found = descriptorSchema.safeParse(text === undefined ? undefined : parseJson(text))
      if (!found.success) continue
      const { mapping, targets, features } = found.data
      if (
        found.data['interface-types'].includes('uefi') &&
        targets.some(({ architecture }) => architecture === 'x86_64') &&
        !features.includes('secure-boot')
      )
        return { code: mapping.executable.filename, variables: mapping['nvram-template'].filename }
    }
  return undefined
}
