import { warningMark } from '#shared/domain/job.ts'
import type { UnitDevice } from '#shared/domain/unit-device.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { BlockDevice } from '#main/transports/block/block-device.ts'
import { nameOfDevice } from '#main/units/devices.ts'
import { nameOfLock, readLock, releaseLock, takeLock } from '#main/units/unit-lock.ts'
import type { LockOptions, Locks, TakenLock } from '#main/units/unit-lock.ts'
import type { Observation, Step, StepContext } from '../step.ts'
import { onDevice, type UnitWorkParts } from './unit-steps.ts'

export interface LockParts extends Pick<UnitWorkParts, 'unitDevices'> {
  readonly locks: Locks
}

/** The lock of the unit that a VM runs on; `owner` as the VM's host says. */
export interface PlannedLock {
  readonly owner: string
  /** That of another, which is broken on the user's word: this one and no other. */
  readonly seen?: TakenLock
}

/** Before the start of a VM: no two hosts run it (B13). Undone by freeing it. */
export const lockStep = (parts: LockParts, where: UnitDevice, lock: PlannedLock): Step => ({
  ...takeStep(parts, where, lock.owner, lock.seen),
  undoCommands: [`free the lock if ${lock.owner} has it`],
  undo: (context) => free(parts, where, lock.owner, context),
})

/**
 * As lockStep, for a copy that the job has just made. The copy has inherited the lock of the unit that it was made
 * from, which is another VM's; nobody else has its LUN yet. What is written goes with the copy.
 */
export const lockCopyStep = (parts: LockParts, where: UnitDevice, owner: string): Step => ({
  ...takeStep(parts, where, owner, 'anyone', 0),
  // once the VM runs, whoever has the lock was let in by a person
  settledBy: 'start',
})

const takeStep = (
  parts: LockParts,
  where: UnitDevice,
  owner: string,
  breaks: TakenLock | 'anyone' | undefined,
  settleMs?: number,
): Step => ({
  id: 'lock',
  title: 'Lock the unit',
  target: nameOfDevice(where),
  weight: 0.05,
  commands: [`take the lock of the unit for ${owner}${brokenOf(breaks)}`],
  undoCommands: [],
  observe: (context) => observeLock(parts, where, owner, context),
  apply: (context) =>
    onDevice(parts, where, 'write', context.signal, async (device) => {
      const self = { ...parts.locks.thisComputer(), owner }
      const settle = settleMs === undefined ? {} : { settleMs }
      const broken = breaks === undefined ? {} : { breaks }
      await takeLock(device, self, { ...optionsOf(parts, context), ...settle, ...broken })
    }),
})

function brokenOf(breaks: TakenLock | 'anyone' | undefined): string {
  if (breaks === undefined) return ''
  return breaks === 'anyone' ? ', whoever has it' : `; break the lock of ${nameOfLock(breaks)}, and no other`
}

/** The same for a copy whose VM is not started. */
export const freeCopyStep = (parts: LockParts, where: UnitDevice): Step => ({
  id: 'free-lock',
  title: 'Free the lock that the copy has inherited',
  target: nameOfDevice(where),
  weight: 0.05,
  commands: ['free the lock of the unit, whoever has it'],
  undoCommands: [],
  observe: ({ signal }) =>
    onDevice(parts, where, 'read', signal, async (device) =>
      (await readLock(device, signal)).state === 'free' ? 'present' : 'absent',
    ),
  apply: (context) =>
    onDevice(parts, where, 'write', context.signal, async (device) => {
      await releaseLock(device, 'anyone', { ...optionsOf(parts, context), settleMs: 0 })
    }),
})

/**
 * After the VM was stopped for good, where its unit stays. What is on the way to being removed is removed, also when
 * the unit can't be reached (a lost LUN, a secret that is gone): the log then says that the lock was left.
 */
export const unlockStep = (parts: LockParts, where: UnitDevice, owner: string): Step => ({
  id: 'unlock',
  title: 'Unlock the unit',
  target: nameOfDevice(where),
  weight: 0.05,
  commands: [`free the lock of the unit if ${owner} has it`],
  undoCommands: [],
  // the console can't reach the unit from then on
  settledBy: 'unmap-lun',
  async observe(context) {
    try {
      return (await observeLock(parts, where, owner, context)) === 'present' ? 'absent' : 'present'
    } catch (error) {
      if (isOneOf(outOfReach, error)) return 'absent'
      throw error
    }
  },
  apply: (context) => free(parts, where, owner, context, outOfReach),
})

const optionsOf = ({ locks: { now, isGone } }: LockParts, { signal }: StepContext): LockOptions => ({
  signal,
  now,
  isGone,
  // no other VM has its name, and it does not run: a lock of an earlier boot of this computer is over
  anyBoot: true,
})

const observeLock = (
  parts: LockParts,
  where: UnitDevice,
  owner: string,
  { signal }: StepContext,
): Promise<Observation> =>
  onDevice(parts, where, 'read', signal, async (device) =>
    (await isHeldBy(owner, device, signal)) ? 'present' : 'absent',
  )

async function isHeldBy(owner: string, device: BlockDevice, signal: AbortSignal): Promise<boolean> {
  const record = await readLock(device, signal)
  return record.state === 'held' && record.lock.owner === owner
}

/** What can't be freed holds up no removal: a LUN that is lost, a unit that does not verify. */
async function free(
  parts: LockParts,
  where: UnitDevice,
  owner: string,
  context: StepContext,
  forgiven = hopeless,
): Promise<void> {
  const { signal } = context
  try {
    await onDevice(parts, where, 'write', signal, async (device) => {
      const record = await readLock(device, signal)
      if (record.state === 'held' && record.lock.owner === owner)
        await releaseLock(device, { ...parts.locks.thisComputer(), owner }, optionsOf(parts, context))
      else if (record.state === 'held')
        context.log(
          `${warningMark}The lock of the unit was left: not ${owner} has it, but ${record.lock.owner}. ${howToFree}`,
        )
    })
  } catch (error) {
    if (!isOneOf(forgiven, error)) throw error
    context.log(`${warningMark}The lock of ${owner} was left: ${error.message}. ${howToFree}`)
  }
}

const howToFree =
  'When it is certain that no host runs the VM: gantry unit unlock --break frees it, on a LUN of the container or its file.'

type Codes = ReadonlySet<AppError['code']>

const hopeless: Codes = new Set(['not-found', 'device-rejected', 'not-supported'])
const outOfReach: Codes = new Set([...hopeless, 'auth-failed', 'unreachable', 'timeout'])

const isOneOf = (codes: Codes, error: unknown): error is AppError =>
  error instanceof AppError && codes.has(error.code)
