import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import type { LockOwner } from '#main/units/unit-lock.ts'

const noBootId = '00000000-0000-0000-0000-000000000000'

/** This computer as the owner of locks: its name, and on Linux which boot of it. */
export const lockOwner = (): LockOwner => ({ owner: hostname(), bootId: bootId() })

function bootId(): string {
  if (process.platform !== 'linux') return noBootId
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
}
