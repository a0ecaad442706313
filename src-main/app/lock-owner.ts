import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { isLockOwnerGone } from '#main/drivers/hosts/embedded/lock-owner.ts'
import type { Journal } from '#main/jobs/journal.ts'
import type { Locks } from '#main/units/unit-lock.ts'

const noBootId = '00000000-0000-0000-0000-000000000000'

/** The locks of units, seen from this computer: its name, and on Linux which boot of it. */
export const createLocks = (dataDir: string, { isHeld }: Pick<Journal, 'isHeld'>): Locks => ({
  thisComputer: () => ({ owner: hostname(), bootId: bootId() }),
  isGone: ({ owner }) => isLockOwnerGone(dataDir, owner, (vmName) => isHeld(`deployment/${vmName}`)),
  now: Date.now,
})

function bootId(): string {
  if (process.platform !== 'linux') return noBootId
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
}
