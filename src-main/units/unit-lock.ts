import { setTimeout as delay } from 'node:timers/promises'
import { headerPartitionOffsetBytes, lockRecordBytes, lockRecordOffset } from '#shared/domain/unit-layout.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatDuration } from '#shared/units/duration.ts'
import {
  decodeLockRecord,
  encodeLockRecord,
  type LockRecord,
  type UnitLock,
} from '#main/protocols/unit/lock-record.ts'
import type { BlockDevice } from '#main/transports/block/block-device.ts'
import { requireUnit } from './disk.ts'

export type LockOwner = Omit<UnitLock, 'takenAtMs'>

export interface LockOptions {
  readonly signal: AbortSignal
  readonly now: () => number
  /**
   * How long the weaker way waits before it reads back: longer than a write of another takes to arrive. Default 1000.
   */
  readonly settleMs?: number
}

/** How a lock was changed. atomic: by COMPARE AND WRITE. read-back: written, and read again after a while; two at the same moment may both succeed. */
export type LockMethod = 'atomic' | 'read-back'

const offset = headerPartitionOffsetBytes + lockRecordOffset

export async function readLock(device: BlockDevice, signal: AbortSignal): Promise<LockRecord> {
  return decodeLockRecord(await device.read(offset, lockRecordBytes, signal))
}

/**
 * Takes the lock of a unit (B13). One that the same owner has already taken, in the same boot, stays as it is. Throws
 * busy when another has it or has just been faster, device-rejected when the record is damaged; as requireUnit.
 */
export async function takeLock(
  device: BlockDevice,
  owner: LockOwner,
  options: LockOptions,
): Promise<{ readonly lock: UnitLock; readonly method?: LockMethod }> {
  await requireUnit(device, options.signal)
  const before = await device.read(offset, lockRecordBytes, options.signal)
  const record = decodeLockRecord(before)
  if (record.state === 'held' && isOf(record.lock, owner)) {
    // The flush after it was taken may have failed.
    await device.flush(options.signal)
    return { lock: record.lock }
  }
  if (record.state !== 'free') throw notFree(device, record, options.now())
  const lock = { ...owner, takenAtMs: options.now() }
  return { lock, method: await exchange(device, before, encodeLockRecord(lock), options) }
}

/**
 * Frees the lock. With an owner only theirs, of this boot; `anyone`: whoever has it, on the user's word. What is free
 * stays free. Throws busy when another has it.
 */
export async function releaseLock(
  device: BlockDevice,
  by: LockOwner | 'anyone',
  options: LockOptions,
): Promise<{ readonly before: LockRecord; readonly method?: LockMethod }> {
  await requireUnit(device, options.signal)
  const before = await device.read(offset, lockRecordBytes, options.signal)
  const record = decodeLockRecord(before)
  if (record.state === 'free') return { before: record }
  const mayFree = by === 'anyone' || (record.state === 'held' && isOf(record.lock, by))
  if (!mayFree) throw notFree(device, record, options.now())
  return {
    before: record,
    method: await exchange(device, before, new Uint8Array(lockRecordBytes), options),
  }
}

const isOf = (lock: UnitLock, owner: LockOwner): boolean =>
  lock.owner === owner.owner && lock.bootId === owner.bootId

async function exchange(
  device: BlockDevice,
  before: Uint8Array,
  after: Uint8Array,
  { signal, now, settleMs = 1000 }: LockOptions,
): Promise<LockMethod> {
  const exchanged = await compareAndWrite(device, before, after, signal)
  if (exchanged === false) throw notFree(device, await readLock(device, signal), now())
  if (exchanged === true) {
    await device.flush(signal)
    return 'atomic'
  }
  await device.write(offset, after, signal)
  await device.flush(signal)
  await delay(settleMs, undefined, { signal })
  const found = await device.read(offset, lockRecordBytes, signal)
  if (!Buffer.from(found).equals(after)) throw notFree(device, decodeLockRecord(found), now())
  return 'read-back'
}

/** undefined: the device cannot. Some say that they can and then do not know the command. */
async function compareAndWrite(
  device: BlockDevice,
  before: Uint8Array,
  after: Uint8Array,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  try {
    return await device.compareAndWrite?.(offset, before, after, signal)
  } catch (error) {
    if (error instanceof AppError && error.code === 'not-supported') return undefined
    throw error
  }
}

function notFree(device: BlockDevice, record: LockRecord, nowMs: number): AppError {
  if (record.state === 'free')
    return new AppError('busy', 'Another has just changed the lock of the unit', { object: device.name })
  if (record.state === 'damaged')
    return new AppError('device-rejected', `The lock of the unit is damaged: ${record.problem}`, {
      object: device.name,
      advice: 'When you are sure that no host runs the VM: gantry unit unlock --break.',
    })
  return new AppError(
    'busy',
    `The unit is locked by ${record.lock.owner}, ${describeAge(record.lock, nowMs)}`,
    {
      object: device.name,
      facts: { since: new Date(record.lock.takenAtMs).toISOString(), 'boot id': record.lock.bootId },
      advice:
        'Stop the VM there. When you are sure that it does not run any more: gantry unit unlock --break.',
    },
  )
}

/** "for 5 min 10 s", by this computer's clock. */
export const describeAge = ({ takenAtMs }: UnitLock, nowMs: number): string =>
  takenAtMs <= nowMs
    ? `for ${formatDuration(nowMs - takenAtMs)}`
    : `by a clock that is ${formatDuration(takenAtMs - nowMs)} ahead of this one`
