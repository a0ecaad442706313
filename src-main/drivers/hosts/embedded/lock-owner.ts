import { hostname } from 'node:os'
import { join } from 'node:path'
import { vmPlaces } from './places.ts'
import { findQemu } from './qemu-process.ts'

/** How a VM of this computer signs the lock of its unit (B13): its folder is where its process is looked for. */
export const lockOwnerOf = (dataDir: string, { name, uuid }: { name: string; uuid: string }): string =>
  `VM ${name} of ${hostname()}, ${vmPlaces(dataDir, uuid).folder}`

/** Whether it is a VM of this computer, of whichever data folder, whose process is not there. */
export async function isLockOwnerGone(owner: string): Promise<boolean> {
  const [, computer, folder = ''] = /^VM .+ of ([^,]+), (.+)$/s.exec(owner) ?? []
  if (computer !== hostname()) return false
  return (await findQemu({ pidFile: join(folder, 'pid') })) === undefined
}
