import { hostname } from 'node:os'
import { basename } from 'node:path'
import { uuidSchema } from '#shared/domain/names.ts'
import { readText } from './files.ts'
import { vmPlaces } from './places.ts'
import { findQemu } from './qemu-process.ts'

/** How a VM of this computer signs the lock of its unit (B13): its folder is where its process is looked for. */
export const lockOwnerOf = (dataDir: string, { name, uuid }: { name: string; uuid: string }): string =>
  `VM ${name} of ${hostname()}, ${vmPlaces(dataDir, uuid).folder}`

/**
 * Whether it is a VM that is registered in this data folder and whose process is not there. False when that is not
 * known: of another data folder or computer (a UUID tells two of one name apart), or when its files can't be read.
 * `isWorkedOn`: a job of the VM is open, and may be about to start it.
 */
export async function isLockOwnerGone(
  dataDir: string,
  owner: string,
  isWorkedOn: (vmName: string) => boolean,
): Promise<boolean> {
  const [, name = '', folder = ''] = /^VM (.+) of [^,]+, (.+)$/s.exec(owner) ?? []
  const uuid = basename(folder)
  if (!uuidSchema.safeParse(uuid).success || owner !== lockOwnerOf(dataDir, { name, uuid })) return false
  // asked before the process is looked for: a job that ends meanwhile has started it
  if (isWorkedOn(name)) return false
  const places = vmPlaces(dataDir, uuid)
  try {
    return (await readText(places.record)) !== undefined && (await findQemu(places)) === undefined
  } catch {
    return false
  }
}
