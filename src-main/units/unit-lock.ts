import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
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

/** What locking must know of the computer that it is done on. */
export interface Locks {
  /** As the owner of locks. */
  readonly thisComputer: () => LockOwner
  /** Whether the owner is known to be a process that is not there any more; told to who meets the lock. */
  readonly isGone: (lock: UnitLock) => Promise<boolean>
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** A lock that somebody has, or of which that can't be told. */
export type TakenLock = Exclude<LockRecord, { state: 'free' }>

export interface LockOptions extends Pick<Locks, 'now'>, Partial<Pick<Locks, 'isGone'>> {
  readonly signal: AbortSignal
  /**
   * The owner's name alone tells that a lock is his, of whichever boot: for a name that no other bears, whose process
   * was looked for. Default: a lock of an earlier boot is another's.
   */
  readonly anyBoot?: boolean
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
 * Takes the lock of a unit (B13). One that the same owner has already taken, in the same boot, stays as it is.
 * `breaks`: this one and no other, on the user's word; `anyone`: nobody can have it. Throws busy when another has it or has
 * just been faster, device-rejected when the record is damaged; as requireUnit.
 */
export async function takeLock(
  device: BlockDevice,
  owner: LockOwner,
  options: LockOptions & { readonly breaks?: TakenLock | 'anyone' },
): Promise<{ readonly lock: UnitLock; readonly method?: LockMethod }> {
  await requireUnit(device, options.signal)
  const before = await device.read(offset, lockRecordBytes, options.signal)
  const record = decodeLockRecord(before)
  if (record.state === 'held' && isOf(record.lock, owner, options) && record.lock.bootId === owner.bootId) {
    // The flush after it was taken may have failed.
    await device.flush(options.signal)
    return { lock: record.lock }
  }
  const mayTake =
    record.state === 'free' ||
    options.breaks === 'anyone' ||
    isDeepStrictEqual(record, options.breaks) ||
    (record.state === 'held' && isOf(record.lock, owner, options))
  if (!mayTake) throw await notFree(device, record, options)
  const lock = { ...owner, takenAtMs: options.now() }
  return { lock, method: await exchange(device, before, encodeLockRecord(lock), options) }
}

/**
 * Frees the lock. With an owner only theirs; `anyone`: whoever has it, on the user's word. What is free
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
  const mayFree = by === 'anyone' || (record.state === 'held' && isOf(record.lock, by, options))
  if (!mayFree) throw await notFree(device, record, options)
  return {
    before: record,
    method: await exchange(device, before, new Uint8Array(lockRecordBytes), options),
  }
}

const isOf = (lock: UnitLock, owner: LockOwner, { anyBoot }: Pick<LockOptions, 'anyBoot'>): boolean =>
  lock.owner === owner.owner && (anyBoot === true || lock.bootId === owner.bootId)

async function exchange(
  device: BlockDevice,
  before: Uint8Array,
  after: Uint8Array,
  options: LockOptions,
): Promise<LockMethod> {
  const { signal, settleMs = 1000 } = options
  const exchanged = await compareAndWrite(device, before, after, signal)
  if (exchanged === false) throw await notFree(device, await readLock(device, signal), options)
  if (exchanged === true) {
    await device.flush(signal)
    return 'atomic'
  }
  await device.write(offset, after, signal)
  await device.flush(signal)
  await delay(settleMs, undefined, { signal })
  const found = await device.read(offset, lockRecordBytes, signal)
  if (!Buffer.from(found).equals(after)) throw await notFree(device, decodeLockRecord(found), options)
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

async function notFree(
  device: BlockDevice,
  record: LockRecord,
  { now, isGone }: LockOptions,
): Promise<AppError> {
  if (record.state === 'free')
    return new AppError('busy', 'Another has just changed the lock of the unit', { object: device.name })
  if (record.state === 'damaged')
    return new AppError('device-rejected', `The lock of the unit is damaged: ${record.problem}`, {
      object: device.name,
      advice: 'When you are sure that no host runs the VM: gantry unit unlock --break.',
    })
  const { lock } = record
  const gone = (await isGone?.(lock)) === true ? { 'its process': 'not there any more' } : {}
  return new AppError('busy', `The unit is locked by ${lock.owner}, ${describeAge(lock, now())}`, {
    object: device.name,
    facts: { since: new Date(lock.takenAtMs).toISOString(), 'boot id': lock.bootId, ...gone },
    advice:
      'Stop the VM there. When you are sure that it does not run any more, break the lock: gantry unit unlock --break, or --break-lock where a VM is to be started.',
  })
}

/** Tells it from any other: what a person is asked about is what is broken. */
export const nameOfLock = (record: TakenLock): string =>
  record.state === 'held'
    ? `${record.lock.owner}, since ${new Date(record.lock.takenAtMs).toISOString()}, boot ${record.lock.bootId}`
    : `an owner who can't be read (${record.problem})`

/** "for 5 min 10 s", by this computer's clock. */
export const describeAge = ({ takenAtMs }: UnitLock, nowMs: number): string =>
  takenAtMs <= nowMs
    ? `for ${formatDuration(nowMs - takenAtMs)}`
    : `by a clock that is ${formatDuration(takenAtMs - nowMs)} ahead of this one`
