import { existsSync, rmSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { AppError } from '#shared/errors/app-error.ts'
import { openFileDevice } from '#main/transports/block/file-device.ts'
import { readLock, takeLock, type TakenLock } from '#main/units/unit-lock.ts'
import { signal, writtenUnit } from '#test/support/unit-bench.ts'
import { makeMortal } from '#test/unit/jobs/mortal-journal.ts'
import { nobody } from '#test/unit/jobs/scenario.ts'
import { openConsole, type TestConsole } from '#test/unit/jobs/test-console.ts'
import { makeTempDir } from '#test/unit/temp-dir.ts'
import type { JobKind, Step } from '../step.ts'
import { lockStep, unlockStep, type LockParts, type PlannedLock } from './lock-steps.ts'

const bootId = '00112233-4455-4677-8899-aabbccddeeff'
const web = 'VM web of here, /data'
const options = { signal, now: () => 1000, settleMs: 0 }

/** A unit in a file, locked; `refusal`: what its array answers. */
async function lockedUnit(owner: string, refusal?: AppError) {
  const { path, device } = await writtenUnit()
  await takeLock(device, { owner, bootId }, options)
  const parts: LockParts = {
    locks: {
      thisComputer: () => ({ owner: 'here', bootId }),
      isGone: () => Promise.resolve(false),
      now: () => 2000,
    },
    unitDevices: {
      async open() {
        if (refusal !== undefined) throw refusal
        if (!existsSync(path)) throw new AppError('not-found', 'There is no such LUN')
        return { device: await openFileDevice(path, { readOnly: false }) }
      },
      listLuns: () => Promise.reject(new Error('not used')),
    },
  }
  return { path, device, parts, where: { kind: 'file', path } as const }
}

const step = (id: string, apply: () => Promise<void> | void): Step => ({
  ...{ id, title: id, target: 'test', weight: 1, commands: [], undoCommands: [] },
  apply: async () => apply(),
  observe: () => Promise.resolve('absent'),
})

const kindOf = (steps: Step[]): JobKind => ({
  ...{ name: 'test', afterRestart: 'resume', onFailure: 'needs-operator' },
  title: () => 'test',
  resources: () => ['vm'],
  steps: () => steps,
})

async function run(steps: Step[]) {
  const { jobs } = openConsole(makeTempDir(), { kinds: [kindOf(steps)] })
  const { jobId } = jobs.start('test', {})
  await jobs.wait(jobId)
  const { state, error, log } = jobs.get(jobId)
  return { state, error, log: log.map(({ text }) => text).join('\n') }
}

describe('B13: freeing the lock of a VM that is removed', () => {
  test.each(['unmap-lun', 'destroy-lun', 'record'])(
    'killed at %s it is finished without the LUN',
    async (last) => {
      const { path, parts, where } = await lockedUnit(web)
      const base = makeTempDir()
      const mortal = makeMortal()
      const reached = Promise.withResolvers<void>()
      const dyingAt = (id: string): Step =>
        step(id, async () => {
          if (id === 'unmap-lun') rmSync(path, { force: true })
          if (id !== last || mortal.isDead()) return
          mortal.die()
          reached.resolve()
          await new Promise(() => undefined)
        })
      const steps = [unlockStep(parts, where, web), ...['unmap-lun', 'destroy-lun', 'record'].map(dyingAt)]
      const kinds = [kindOf(steps)]
      const first: TestConsole = openConsole(base, { kinds, wrapJournal: mortal.wrap })
      const { jobId } = first.jobs.start('test', {})
      await reached.promise
      const { jobs } = openConsole(base, { kinds, isAlive: nobody })
      jobs.recover()
      expect(await jobs.wait(jobId)).toMatchObject({ state: 'done' })
    },
  )

  test('resumed after the removal of the LUN has failed, it goes on', async () => {
    const { path, parts, where } = await lockedUnit(web)
    let isFirst = true
    const unmap = step('unmap-lun', () => {
      rmSync(path, { force: true })
      if (!isFirst) return
      isFirst = false
      throw new AppError('unreachable', 'Lost')
    })
    const { jobs } = openConsole(makeTempDir(), { kinds: [kindOf([unlockStep(parts, where, web), unmap])] })
    const { jobId } = jobs.start('test', {})
    expect((await jobs.wait(jobId)).state).toBe('needs-operator')
    jobs.resume(jobId)
    expect((await jobs.wait(jobId)).state).toBe('done')
  })

  test.each(['auth-failed', 'unreachable', 'timeout'] as const)(
    '%s: it goes on, and says what was left',
    async (code) => {
      const { parts, where } = await lockedUnit(web, new AppError(code, 'No'))
      const { state, log } = await run([unlockStep(parts, where, web), step('unmap-lun', () => undefined)])
      expect(state).toBe('done')
      expect(log).toMatch(/Warning: The lock of VM web .* was left: No.*gantry unit unlock/)
    },
  )

  test('that of another is left, and said', async () => {
    const { device, parts, where } = await lockedUnit('VM web of earlier, /data')
    const { state, log } = await run([unlockStep(parts, where, web), step('unmap-lun', () => undefined)])
    expect(state).toBe('done')
    expect(log).toMatch(/Warning: .*VM web of earlier, \/data/)
    expect(await readLock(device, signal)).toMatchObject({ state: 'held' })
  })
})

describe('B13: breaking a lock', () => {
  const seenOf = (owner: string, takenAtMs: number): TakenLock => ({
    state: 'held',
    lock: { owner, bootId, takenAtMs },
  })
  const take = async (seen: TakenLock) => {
    const unit = await lockedUnit('kvm9')
    const lock: PlannedLock = { owner: web, seen }
    const planned = lockStep(unit.parts, unit.where, lock)
    return {
      ...(await run([planned])),
      commands: planned.commands.join(),
      held: await readLock(unit.device, signal),
    }
  }

  test('the one that was seen', async () => {
    const { state, commands, held } = await take(seenOf('kvm9', 1000))
    expect(state).toBe('done')
    expect(commands).toMatch(/kvm9, since 1970-01-01T00:00:01.000Z/)
    expect(held).toMatchObject({ lock: { owner: web } })
  })

  test.each([seenOf('kvm8', 1000), seenOf('kvm9', 999)])('not another, who is named', async (seen) => {
    const { error, held } = await take(seen)
    expect(error).toMatchObject({ code: 'busy', message: expect.stringContaining('kvm9') as string })
    expect(held).toEqual(seenOf('kvm9', 1000))
  })
})
