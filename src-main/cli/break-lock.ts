import type { OperationInput } from '#shared/contract/operations.ts'
import { printable } from './io.ts'
import type { Tools } from './tools.ts'

export const breakLockText =
  'start the VM although another has the lock of its unit; must be confirmed (containers of disks)'

/** The locks that are there now, to be asked about: only they are broken. */
export async function locksToBreak({ client }: Tools, operation: OperationInput): Promise<string[]> {
  const jobs = await client.call('operations.plan', operation)
  return [...new Set(jobs.flatMap(({ breaksLock }) => breaksLock ?? []))]
}

export const breakLockQuestion = (locks: readonly string[]): string =>
  printable(
    `Locked by ${locks.join('; and by ')}. Is it certain that no host runs the VM, and shall the lock be broken?`,
  )
