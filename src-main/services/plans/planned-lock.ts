import { headerPartitionOffsetBytes, lockRecordBytes, lockRecordOffset } from '#shared/domain/unit-layout.ts'
import type { ObjectRef } from '#shared/domain/storage.ts'
import type { ArrayDriver } from '#main/drivers/arrays/contract.ts'
import type { PlannedLock } from '#main/jobs/kinds/lock-steps.ts'
import { decodeLockRecord } from '#main/protocols/unit/lock-record.ts'
import { nameOfLock, type TakenLock } from '#main/units/unit-lock.ts'

const range = { offset: headerPartitionOffsetBytes + lockRecordOffset, lengthBytes: lockRecordBytes }

/** The lock that may be broken, read through the array: of a list only one that is named there. */
export async function lockToBreak(
  array: ArrayDriver,
  ref: ObjectRef,
  breakLock: boolean | readonly string[],
  signal: AbortSignal,
): Promise<TakenLock | undefined> {
  if (breakLock === false) return undefined
  const { parts } = await array.readObject(ref, [range], signal)
  const record = decodeLockRecord(parts[0] ?? new Uint8Array())
  if (record.state === 'free') return undefined
  return breakLock === true || breakLock.includes(nameOfLock(record)) ? record : undefined
}

/** The owner's own lock needs nobody to break it. */
export const planLock = (owner: string, seen: TakenLock | undefined): PlannedLock =>
  seen === undefined || (seen.state === 'held' && seen.lock.owner === owner) ? { owner } : { owner, seen }

export const brokenBy = (lock: PlannedLock | undefined): { breaksLock?: string } =>
  lock?.seen === undefined ? {} : { breaksLock: nameOfLock(lock.seen) }
