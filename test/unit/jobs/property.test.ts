import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { createJobs } from '#main/jobs/jobs.ts'
import type { JobEvent } from '#main/jobs/events.ts'
import { openStore } from '#main/store/store.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { deviceKind, readDevice } from './fake-device.ts'
import type { DeviceCall } from './fake-device.ts'
import { makeMortal } from './mortal-journal.ts'

/**
 * What goes wrong in one life of a console. Numbers count from its start: commits of a state (before and after each)
 * and moments inside calls to the device are counted together.
 */
const lifeArbitrary = fc.record({
  /** It dies at this moment, committed or not, in the middle of a call or not. */
  diesAt: fc.option(fc.integer({ min: 0, max: 60 }), { nil: undefined }),
  /** Calls to the device that throw, by their number. */
  failing: fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 3 }),
  cancelAt: fc.option(fc.integer({ min: 0, max: 60 }), { nil: undefined }),
  /** Files that the device forgets before this life begins. */
  lost: fc.subarray(['one', 'two', 'three']),
  /** What a person commands when he is needed. */
  operator: fc.constantFrom('resume' as const, 'undo' as const),
})
type Life = typeof lifeArbitrary extends fc.Arbitrary<infer T> ? T : never

const calm: Life = { diesAt: undefined, failing: [], cancelAt: undefined, lost: [], operator: 'undo' }

interface World {
  readonly base: string
  readonly dir: string
  readonly files: string[]
  readonly door: boolean
  readonly beside: string | undefined
  readonly afterRestart: 'resume' | 'undo'
}

/** One console from its start to its death or until nothing more is to be done. Answers the state of the job, if there is one. */
async function live(world: World, life: Life, number: number): Promise<string | undefined> {
  let [moments, calls] = [0, 0]
  let command: (() => void) | undefined
  const tick = (): void => {
    const moment = moments++
    if (moment === life.diesAt) mortal.die()
    if (moment === life.cancelAt) command?.()
  }
  const mortal = makeMortal(tick)
  const ghostCalls: string[] = []
  const meddle = ({ operation, stepId, moment }: DeviceCall): void => {
    if (mortal.isDead() && moment === 'before' && operation !== 'observe')
      ghostCalls.push(`${operation} ${stepId}`)
    if (mortal.isDead()) throw new Error('died')
    tick()
    if (mortal.isDead()) throw new Error('died')
    if (life.failing.includes(calls++)) throw new AppError('timeout', 'No answer', { effect: 'unknown' })
  }
  const store = openStore(join(world.base, 'gantry.db'))
  const owner = { pid: 1, startedAt: `life ${number}` }
  const fractions: number[] = []
  const jobs = createJobs({
    journal: mortal.wrap(store.journal),
    kinds: [deviceKind('make', world.afterRestart, meddle)],
    owner,
    // One console lives at a time.
    isAlive: (other) => other.startedAt === owner.startedAt,
    onEvent(event: JobEvent) {
      if (event.name === 'jobs.progressChanged') fractions.push(event.payload.progress.fraction)
    },
    cancelPollMs: 1000,
  })
  try {
    const recovered = number === 0 ? [] : jobs.recover()
    const id = number === 0 ? jobs.start('make', planOf(world)).jobId : store.journal.list()[0]?.id
    if (id === undefined) return undefined
    command = () => {
      const { state } = store.journal.get(id)
      if (state === 'running' || state === 'undoing') jobs.cancel(id)
    }
    expect(recovered.every(({ outcome }) => outcome !== 'left')).toBe(true)
    let { state } = await jobs.wait(id)
    if (state === 'needs-operator' || state === 'interrupted') {
      jobs[life.operator](id)
      state = (await jobs.wait(id)).state
    }
    return state
  } catch (error) {
    if (!mortal.isDead()) throw error
    return store.journal.list()[0]?.state
  } finally {
    // Once its journal takes nothing any more, the runner changes nothing more on a device.
    expect(ghostCalls).toEqual([])
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b))
    store.close()
  }
}

const planOf = ({ dir, files, door, beside }: World) => ({ dir, files, door, beside })

const foreign = { foreign: 'not ours', 'one.foreign': 'nor this' }

it('whatever fails, dies, is lost or cancelled: in the end all is there or nothing, and what is not ours is as it was', async () => {
  const ends = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        files: fc.integer({ min: 1, max: 3 }).map((count) => ['one', 'two', 'three'].slice(0, count)),
        door: fc.boolean(),
        beside: fc.constantFrom(undefined, 'two', 'three'),
        afterRestart: fc.constantFrom('resume' as const, 'undo' as const),
        lives: fc.array(lifeArbitrary, { minLength: 1, maxLength: 4 }),
      }),
      async ({ lives, ...shape }) => {
        const base = mkdtempSync(join(tmpdir(), 'gantry-unit-'))
        try {
          const world: World = { ...shape, base, dir: join(base, 'device') }
          readDevice(world.dir)
          for (const [name, content] of Object.entries(foreign)) writeFileSync(join(world.dir, name), content)
          let state: string | undefined
          // After all that can go wrong come two calm lives, the last with a person who undoes what is left.
          for (const [number, life] of [...lives, calm, calm].entries()) {
            if (state === 'done' || state === 'undone' || (number > 0 && state === undefined)) break
            for (const name of number === 0 ? [] : life.lost) rmSync(join(world.dir, name), { force: true })
            state = await live(world, life, number)
          }
          ends.set(state ?? 'never began', (ends.get(state ?? 'never began') ?? 0) + 1)
          const store = openStore(join(base, 'gantry.db'))
          const [job] = store.journal.list()
          expect(store.journal.listOpen()).toEqual([])
          store.close()
          const made = Object.fromEntries(world.files.map((name) => [name, job?.id ?? '']))
          expect(['done', 'undone', undefined]).toContain(state)
          expect(readDevice(world.dir)).toEqual(state === 'done' ? { ...foreign, ...made } : foreign)
        } finally {
          rmSync(base, { recursive: true, force: true })
        }
      },
    ),
    { numRuns: Number(process.env['GANTRY_PROPERTY_RUNS'] ?? 100) },
  )
  // Both ends, and jobs that never came to be, were among the cases.
  expect([...ends.keys()].toSorted()).toEqual(['done', 'never began', 'undone'])
}, 120_000)
