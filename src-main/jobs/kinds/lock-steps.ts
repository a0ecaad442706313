import type { UnitDevice } from '#shared/domain/unit-device.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { BlockDevice } from '#main/transports/block/block-device.ts'
import { nameOfDevice } from '#main/units/devices.ts'
import { readLock, releaseLock, takeLock, type LockOptions, type Locks } from '#main/units/unit-lock.ts'
import type { Observation, Step, StepContext } from '../step.ts'
import { onDevice, type UnitWorkParts } from './unit-steps.ts'

export interface LockParts extends Pick<UnitWorkParts, 'unitDevices'> {
  readonly locks: Locks
}

/** The lock of the unit that a VM runs on; `owner` as the VM's host says. */
export interface PlannedLock {
  readonly owner: string
  /** Whoever has it, on the user's word. */
  readonly breaks: boolean
}

/** Before the start of a VM: no two hosts run it (B13). Undone by freeing it. */
export const lockStep = (parts: LockParts, where: UnitDevice, lock: PlannedLock): Step => ({
  ...takeStep(parts, where, lock),
  undoCommands: [`free the lock if ${lock.owner} has it`],
  undo: (context) => free(parts, where, lock.owner, context),
})

/**
 * As lockStep, for a copy that the job has just made. The copy has inherited the lock of the unit that it was made
 * from, which is another VM's; nobody else has its LUN yet. What is written goes with the copy.
 */
export const lockCopyStep = (parts: LockParts, where: UnitDevice, owner: string): Step => ({
  ...takeStep(parts, where, { owner, breaks: true }, 0),
  // once the VM runs, whoever has the lock was let in by a person
  settledBy: 'start',
})

const takeStep = (
  parts: LockParts,
  where: UnitDevice,
  { owner, breaks }: PlannedLock,
  settleMs?: number,
): Step => ({
  id: 'lock',
  title: 'Lock the unit',
  target: nameOfDevice(where),
  weight: 0.05,
  commands: [`take the lock of the unit for ${owner}${breaks ? ', whoever has it' : ''}`],
  undoCommands: [],
  observe: (context) => observeLock(parts, where, owner, context),
  apply: (context) =>
    onDevice(parts, where, 'write', context.signal, async (device) => {
      const self = { ...parts.locks.thisComputer(), owner }
      const settle = settleMs === undefined ? {} : { settleMs }
      await takeLock(device, self, { ...optionsOf(parts, context), ...settle, breaks })
    }),
})

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

/** After the VM was stopped for good, where its unit stays. */
export const unlockStep = (parts: LockParts, where: UnitDevice, owner: string): Step => ({
  id: 'unlock',
  title: 'Unlock the unit',
  target: nameOfDevice(where),
  weight: 0.05,
  commands: [`free the lock of the unit if ${owner} has it`],
  undoCommands: [],
  observe: async (context) =>
    (await observeLock(parts, where, owner, context)) === 'present' ? 'absent' : 'present',
  apply: (context) => free(parts, where, owner, context),
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
async function free(parts: LockParts, where: UnitDevice, owner: string, context: StepContext): Promise<void> {
  const { signal } = context
  try {
    await onDevice(parts, where, 'write', signal, async (device) => {
      if (!(await isHeldBy(owner, device, signal))) return
      await releaseLock(device, { ...parts.locks.thisComputer(), owner }, optionsOf(parts, context))
    })
  } catch (error) {
    if (!(error instanceof AppError) || !hopeless.has(error.code)) throw error
    context.log(`The lock of ${owner} was not freed: ${error.message}`)
  }
}

const hopeless: ReadonlySet<AppError['code']> = new Set(['not-found', 'device-rejected', 'not-supported'])
