import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { deviceKind, readDevice } from '#test/unit/jobs/fake-device.ts'
import type { DeviceCall, DevicePlan, Meddle } from '#test/unit/jobs/fake-device.ts'
import { makeMortal } from '#test/unit/jobs/mortal-journal.ts'
import { openConsole } from '#test/unit/jobs/test-console.ts'
import { makeTempDir } from '#test/unit/temp-dir.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { JobKind } from './step.ts'

const code = (expected: string): unknown => expect.objectContaining({ code: expected })
const nobody = (): boolean => false

function makePlan(door = false): DevicePlan & { base: string } {
  const base = makeTempDir()
  const dir = join(base, 'device')
  readDevice(dir)
  writeFileSync(join(dir, 'foreign'), 'not ours')
  return { base, dir, files: ['one', 'two', 'three'], door }
}

const untouched = { foreign: 'not ours' }
const made = (jobId: string): unknown => ({ ...untouched, one: jobId, two: jobId, three: jobId })

/** Throws at one moment of one step. */
const failAt =
  (
    stepId: string,
    operation: DeviceCall['operation'],
    moment: DeviceCall['moment'],
    times = Infinity,
  ): Meddle =>
  (call) => {
    if (call.stepId !== stepId || call.operation !== operation || call.moment !== moment || times-- <= 0)
      return
    throw new AppError('device-rejected', 'No', { facts: { stderr: 'tgtadm: no' }, effect: 'unknown' })
  }

/** Waits in the middle of a step until it is aborted; `reached` is when it waits. */
function makeGate(stepId: string): { meddle: Meddle; reached: Promise<void> } {
  const gate = Promise.withResolvers<void>()
  return {
    reached: gate.promise,
    async meddle(call) {
      if (call.stepId !== stepId || call.operation !== 'apply' || call.moment !== 'middle') return
      gate.resolve()
      await new Promise((_, reject) => {
        call.signal.addEventListener('abort', () => reject(call.signal.reason), { once: true })
      })
    },
  }
}

describe('a job that succeeds', () => {
  it('applies its steps in order, tells of each after it was committed, and frees its resources', async () => {
    const plan = makePlan(true)
    const { jobs, events } = openConsole(plan.base, { kinds: [deviceKind('make', 'resume')] })
    const { jobId } = jobs.start('make', plan)
    expect(jobs.get(jobId).state).toBe('running')
    expect(await jobs.wait(jobId)).toMatchObject({ state: 'done', progress: { fraction: 1 } })
    expect(readDevice(plan.dir)).toEqual(made(jobId))
    expect(
      events.flatMap(({ name, payload }) =>
        name === 'jobs.stepChanged' ? [`${payload.stepId} ${payload.state}`] : [],
      ),
    ).toEqual(['door', 'one', 'two', 'three', 'close'].flatMap((id) => [`${id} applying`, `${id} done`]))
    const details = jobs.get(jobId)
    expect(details.steps.every((step) => step.startedAt !== undefined && step.endedAt !== undefined)).toBe(
      true,
    )
    expect(details.log.map(({ stepId, text }) => `${stepId}: ${text}`).slice(0, 2)).toEqual([
      'door: Started',
      'door: Done',
    ])
    jobs.start('make', { ...plan, files: ['one', 'four'] })
  })

  it('shows its steps before, and sends and records nothing for that', () => {
    const plan = makePlan()
    const { jobs } = openConsole(plan.base, { kinds: [deviceKind('make', 'resume')] })
    expect(jobs.plan('make', plan)).toEqual({
      title: 'Make one, two, three',
      steps: plan.files.map((id) => ({
        id,
        title: `make ${id}`,
        target: 'device',
        commands: [`make ${id}`],
        undoCommands: [`unmake ${id}`],
      })),
    })
    expect([jobs.list(), readDevice(plan.dir)]).toEqual([[], untouched])
  })

  it('runs beside others, but not beside one with a resource of its own', async () => {
    const plan = makePlan()
    const gate = makeGate('one')
    const { jobs } = openConsole(plan.base, { kinds: [deviceKind('make', 'resume', gate.meddle)] })
    const first = jobs.start('make', plan)
    await gate.reached
    expect(() => jobs.start('make', { ...plan, files: ['three'] })).toThrow(code('busy'))
    const second = jobs.start('make', { ...plan, files: ['four'] })
    expect((await jobs.wait(second.jobId)).state).toBe('done')
    expect(jobs.get(first.jobId).state).toBe('running')
    jobs.cancel(first.jobId)
    expect((await jobs.wait(first.jobId)).state).toBe('undone')
  })

  it('does not depend on who listens', async () => {
    const plan = makePlan()
    const { jobs } = openConsole(plan.base, {
      kinds: [deviceKind('make', 'resume')],
      onEvent() {
        throw new Error('listener')
      },
    })
    expect((await jobs.wait(jobs.start('make', plan).jobId)).state).toBe('done')
  })

  it('is refused for an unknown kind and for steps with equal ids', () => {
    const plan = makePlan()
    const { jobs } = openConsole(plan.base, { kinds: [deviceKind('make', 'resume')] })
    expect(() => jobs.start('other', plan)).toThrow(code('not-found'))
    expect(() => jobs.start('make', { ...plan, files: ['one', 'one'] })).toThrow(code('bug'))
    expect(jobs.list()).toEqual([])
  })
})

describe('a job that fails', () => {
  const places = ['one', 'two', 'three'].flatMap((stepId) =>
    (['before', 'middle', 'after'] as const).map((moment) => ({ stepId, moment })),
  )
  it.each(places)('in step $stepId, $moment, is undone and keeps the error', async ({ stepId, moment }) => {
    const plan = makePlan()
    const { jobs } = openConsole(plan.base, {
      kinds: [deviceKind('make', 'resume', failAt(stepId, 'apply', moment))],
    })
    const { jobId } = jobs.start('make', plan)
    const job = await jobs.wait(jobId)
    expect(job).toMatchObject({ state: 'undone', error: { code: 'device-rejected', effect: 'unknown' } })
    expect(readDevice(plan.dir)).toEqual(untouched)
    expect(
      jobs
        .get(jobId)
        .log.map(({ text }) => text)
        .join('\n'),
    ).toContain('stderr: tgtadm: no')
    const states = jobs.get(jobId).steps.map(({ state }) => state)
    const failed = plan.files.indexOf(stepId)
    expect(states).toEqual(plan.files.map((_, index) => (index <= failed ? 'undone' : 'planned')))
  })

  it('at what is not ours leaves that alone', async () => {
    const plan = makePlan()
    writeFileSync(join(plan.dir, 'two'), 'theirs')
    const { jobs } = openConsole(plan.base, { kinds: [deviceKind('make', 'resume')] })
    const job = await jobs.wait(jobs.start('make', plan).jobId)
    expect(job).toMatchObject({ state: 'undone', error: { code: 'busy' } })
    expect(readDevice(plan.dir)).toEqual({ ...untouched, two: 'theirs' })
  })

  it('and cannot be undone needs the operator, holds its resources, and is undone when he says so', async () => {
    const plan = makePlan()
    const [apply, undo] = [failAt('three', 'apply', 'after'), failAt('two', 'undo', 'before', 1)]
    const kind = deviceKind('make', 'resume', async (call) => {
      await apply(call)
      await undo(call)
    })
    const { jobs } = openConsole(plan.base, { kinds: [kind] })
    const { jobId } = jobs.start('make', plan)
    expect(await jobs.wait(jobId)).toMatchObject({
      state: 'needs-operator',
      error: {
        code: 'device-rejected',
        facts: { step: 'make two', 'undone because': 'No', stderr: 'tgtadm: no' },
      },
    })
    expect(jobs.get(jobId).steps.map(({ state }) => state)).toEqual(['done', 'failed', 'undone'])
    expect(readDevice(plan.dir)).toEqual({ ...untouched, one: jobId, two: jobId })
    expect(() => jobs.start('make', plan)).toThrow(code('busy'))
    expect(() => jobs.cancel(jobId)).toThrow(code('stale'))

    jobs.undo(jobId)
    expect((await jobs.wait(jobId)).state).toBe('undone')
    expect(readDevice(plan.dir)).toEqual(untouched)
    expect(() => jobs.undo(jobId)).toThrow(code('stale'))
  })

  it('and needs the operator can be resumed, or closed', async () => {
    const plan = makePlan(true)
    const [apply, undo] = [failAt('three', 'apply', 'before', 2), failAt('one', 'undo', 'after', 2)]
    const kind = deviceKind('make', 'resume', async (call) => {
      await apply(call)
      await undo(call)
    })
    const { jobs } = openConsole(plan.base, { kinds: [kind] })
    const { jobId } = jobs.start('make', plan)
    expect((await jobs.wait(jobId)).state).toBe('needs-operator')
    jobs.resume(jobId)
    expect((await jobs.wait(jobId)).state).toBe('needs-operator')
    jobs.resume(jobId)
    expect(await jobs.wait(jobId)).toMatchObject({ state: 'done' })
    expect(jobs.get(jobId).error).toBeUndefined()
    expect(readDevice(plan.dir)).toEqual(made(jobId))
    expect(() => jobs.close(jobId)).toThrow(code('stale'))
  })

  it('is closed by a person and then frees its resources, with steps and error kept', async () => {
    const plan = makePlan()
    const { jobs } = openConsole(plan.base, {
      kinds: [deviceKind('make', 'resume', failAt('one', 'undo', 'before'))],
      env: { GANTRY_FAIL_STEP: 'make/two' },
    })
    const { jobId } = jobs.start('make', plan)
    expect((await jobs.wait(jobId)).state).toBe('needs-operator')
    jobs.close(jobId)
    expect(jobs.get(jobId)).toMatchObject({ state: 'closed', error: { code: 'device-rejected' } })
    expect(jobs.get(jobId).steps[0]?.state).toBe('failed')
    jobs.start('make', plan)
  })
})

describe('a person who acts as soon as he is told', () => {
  it('of the start can cancel', async () => {
    const plan = makePlan()
    const states: string[] = []
    const desk = openConsole(plan.base, {
      kinds: [deviceKind('make', 'resume')],
      onEvent({ name, payload }) {
        if (name !== 'jobs.jobChanged') return
        if (states.push(payload.state) === 1) desk.jobs.cancel(payload.id)
      },
    })
    const { jobId } = desk.jobs.start('make', plan)
    expect((await desk.jobs.wait(jobId)).state).toBe('undone')
    expect(states).toEqual(['running', 'undoing', 'undone'])
    expect(desk.jobs.get(jobId).steps.map(({ state }) => state)).toEqual(['planned', 'planned', 'planned'])
  })

  it('is the only one who runs the job then', async () => {
    const plan = makePlan()
    const undo = failAt('two', 'undo', 'before', 1)
    let refused: unknown
    const kind = deviceKind('make', 'resume', async (call) => {
      await undo(call)
      if (call.operation !== 'undo' || call.stepId !== 'one' || call.moment !== 'before') return
      await new Promise(setImmediate)
      try {
        desk.jobs.resume(jobId)
      } catch (error) {
        refused = error
      }
    })
    const desk = openConsole(plan.base, {
      kinds: [kind],
      env: { GANTRY_FAIL_STEP: 'make/two' },
      onEvent({ name, payload }) {
        if (name === 'jobs.jobChanged' && payload.state === 'needs-operator') desk.jobs.undo(payload.id)
      },
    })
    const { jobId } = desk.jobs.start('make', plan)
    expect((await desk.jobs.wait(jobId)).state).toBe('undone')
    expect(refused).toEqual(code('busy'))
    expect(readDevice(plan.dir)).toEqual(untouched)
  })
})

describe('cancel', () => {
  it('inside a step stops it and undoes', async () => {
    const plan = makePlan()
    const gate = makeGate('two')
    const { jobs } = openConsole(plan.base, { kinds: [deviceKind('make', 'resume', gate.meddle)] })
    const { jobId } = jobs.start('make', plan)
    await gate.reached
    jobs.cancel(jobId)
    expect(await jobs.wait(jobId)).toMatchObject({ state: 'undone', error: { code: 'cancelled' } })
    expect(readDevice(plan.dir)).toEqual(untouched)
    expect(() => jobs.cancel(jobId)).toThrow(code('stale'))
  })

  it.each(['one', 'two', 'three'])('while %s ends is honoured, also after the last step', async (stepId) => {
    const plan = makePlan()
    const kind = deviceKind('make', 'resume', (call) => {
      if (call.stepId === stepId && call.operation === 'apply' && call.moment === 'after') cancelIt()
    })
    const { jobs } = openConsole(plan.base, { kinds: [kind] })
    const { jobId } = jobs.start('make', plan)
    const cancelIt = (): void => jobs.cancel(jobId)
    expect(await jobs.wait(jobId)).toMatchObject({ state: 'undone', error: { code: 'cancelled' } })
    expect(readDevice(plan.dir)).toEqual(untouched)
  })

  it('from another console reaches a running step, and that console can wait for the end', async () => {
    const plan = makePlan()
    const gate = makeGate('two')
    const first = openConsole(plan.base, { kinds: [deviceKind('make', 'resume', gate.meddle)] })
    const second = openConsole(plan.base, { kinds: [deviceKind('make', 'resume')] })
    const { jobId } = first.jobs.start('make', plan)
    await gate.reached
    expect(() => second.jobs.undo(jobId)).toThrow(code('busy'))
    expect(() => second.jobs.resume(jobId)).toThrow(code('busy'))
    second.jobs.cancel(jobId)
    expect(await second.jobs.wait(jobId)).toMatchObject({ state: 'undone', error: { code: 'cancelled' } })
    expect(readDevice(plan.dir)).toEqual(untouched)
  })

  it('does not stop an undo', async () => {
    const plan = makePlan()
    const signals: boolean[] = []
    const apply = failAt('three', 'apply', 'after')
    const kind = deviceKind('make', 'resume', async (call) => {
      await apply(call)
      if (call.operation !== 'undo') return
      cancelIt()
      signals.push(call.signal.aborted)
    })
    const { jobs } = openConsole(plan.base, { kinds: [kind] })
    const { jobId } = jobs.start('make', plan)
    const cancelIt = (): void => jobs.cancel(jobId)
    expect(await jobs.wait(jobId)).toMatchObject({ state: 'undone', error: { code: 'device-rejected' } })
    expect(signals).toEqual(Array(9).fill(false))
  })
})

describe('stop', () => {
  it('with undo cancels what runs and starts no more', async () => {
    const plan = makePlan()
    const gate = makeGate('two')
    const { jobs } = openConsole(plan.base, { kinds: [deviceKind('make', 'resume', gate.meddle)] })
    const { jobId } = jobs.start('make', plan)
    await gate.reached
    await jobs.stop('undo')
    expect(jobs.get(jobId).state).toBe('undone')
    expect(readDevice(plan.dir)).toEqual(untouched)
    expect(() => jobs.start('make', plan)).toThrow(code('busy'))
    expect(() => jobs.resume(jobId)).toThrow(code('busy'))
  })

  it('with leave leaves it to the next console', async () => {
    const plan = makePlan(true)
    const gate = makeGate('two')
    const first = openConsole(plan.base, { kinds: [deviceKind('make', 'resume', gate.meddle)] })
    const { jobId } = first.jobs.start('make', plan)
    await gate.reached
    await first.jobs.stop('leave')
    expect(first.jobs.get(jobId)).toMatchObject({ state: 'interrupted' })
    expect(
      first.jobs
        .get(jobId)
        .steps.map(({ state }) => state)
        .slice(0, 3),
    ).toEqual(['done', 'done', 'applying'])

    const second = openConsole(plan.base, { kinds: [deviceKind('make', 'resume')], isAlive: nobody })
    expect(second.jobs.recover()).toEqual([{ jobId, outcome: 'resumed' }])
    expect((await second.jobs.wait(jobId)).state).toBe('done')
    expect(readDevice(plan.dir)).toEqual(made(jobId))
  })
})

describe('recovery', () => {
  /** A job whose console died in the middle of `two`. */
  async function abandon(kindName = 'make', afterRestart: 'resume' | 'undo' = 'resume') {
    const plan = makePlan()
    const gate = makeGate('two')
    const mortal = makeMortal()
    const first = openConsole(plan.base, {
      kinds: [deviceKind(kindName, afterRestart, gate.meddle)],
      wrapJournal: mortal.wrap,
    })
    const { jobId } = first.jobs.start(kindName, plan)
    await gate.reached
    mortal.die()
    const reopen = (meddle?: Meddle, kinds?: readonly JobKind[]) =>
      openConsole(plan.base, {
        kinds: kinds ?? [deviceKind(kindName, afterRestart, meddle)],
        isAlive: (owner) => owner.startedAt !== first.owner.startedAt,
      })
    return { plan, jobId, reopen }
  }

  it('shows a job whose console is gone as interrupted, and leaves those of living consoles alone', async () => {
    const { plan, jobId, reopen } = await abandon()
    const bystander = openConsole(plan.base, { kinds: [deviceKind('make', 'resume')] })
    expect(bystander.jobs.list()).toMatchObject([{ id: jobId, state: 'running' }])
    expect(bystander.jobs.recover()).toEqual([])
    const { jobs } = reopen()
    expect(jobs.list()).toMatchObject([{ id: jobId, state: 'interrupted' }])
    expect(jobs.get(jobId).state).toBe('interrupted')
    expect((await jobs.wait(jobId)).state).toBe('interrupted')
  })

  it('undoes a kind that says so', async () => {
    const { plan, jobId, reopen } = await abandon('make', 'undo')
    const { jobs } = reopen()
    expect(jobs.recover()).toEqual([{ jobId, outcome: 'undoing' }])
    expect(await jobs.wait(jobId)).toMatchObject({ state: 'undone', error: { code: 'cancelled' } })
    expect(readDevice(plan.dir)).toEqual(untouched)
  })

  it('applies again what was done and has been lost since', async () => {
    const { plan, jobId, reopen } = await abandon()
    rmSync(join(plan.dir, 'one'))
    const { jobs } = reopen()
    jobs.recover()
    expect((await jobs.wait(jobId)).state).toBe('done')
    expect(readDevice(plan.dir)).toEqual(made(jobId))
    expect(jobs.get(jobId).log.map(({ text }) => text)).toContain('Lost on the device: applied again')
  })

  it('does not bring back what a later step has taken away on purpose', async () => {
    const plan = makePlan(true)
    const mortal = makeMortal()
    const first = openConsole(plan.base, {
      kinds: [deviceKind('make', 'resume', ({ stepId }) => void (stepId === 'close' && mortal.die()))],
      wrapJournal: mortal.wrap,
    })
    const { jobId } = first.jobs.start('make', plan)
    await expect(first.jobs.wait(jobId)).rejects.toThrow('dead')
    expect(readDevice(plan.dir)).toEqual(made(jobId))

    const called = new Set<string>()
    const kind = deviceKind(
      'make',
      'resume',
      ({ operation, stepId }) => void called.add(`${operation} ${stepId}`),
    )
    const { jobs } = openConsole(plan.base, { kinds: [kind], isAlive: nobody })
    jobs.recover()
    expect((await jobs.wait(jobId)).state).toBe('done')
    expect([...called]).toEqual(['observe one', 'observe two', 'observe three', 'apply close'])
    expect(readDevice(plan.dir)).toEqual(made(jobId))
  })

  it('undoes a job whose cancelling was on record, whatever its kind says', async () => {
    const { plan, jobId, reopen } = await abandon()
    const { jobs, journal } = reopen()
    journal.requestCancel(jobId)
    expect(jobs.recover()).toEqual([{ jobId, outcome: 'undoing' }])
    expect((await jobs.wait(jobId)).state).toBe('undone')
    expect(readDevice(plan.dir)).toEqual(untouched)
  })

  it('by cancelling undoes a job that nobody runs', async () => {
    const { plan, jobId, reopen } = await abandon()
    const { jobs } = reopen()
    jobs.cancel(jobId)
    expect((await jobs.wait(jobId)).state).toBe('undone')
    expect(readDevice(plan.dir)).toEqual(untouched)
  })

  it('changes nothing while the device cannot be asked, and goes on when it can', async () => {
    const { plan, jobId, reopen } = await abandon()
    const before = readDevice(plan.dir)
    const { jobs } = reopen(failAt('two', 'observe', 'before', 1))
    jobs.recover()
    expect(await jobs.wait(jobId)).toMatchObject({ state: 'interrupted', error: { code: 'device-rejected' } })
    expect(readDevice(plan.dir)).toEqual(before)
    jobs.resume(jobId)
    expect((await jobs.wait(jobId)).state).toBe('done')
    expect(readDevice(plan.dir)).toEqual(made(jobId))
  })

  it('gives a job to one of two that start at once', async () => {
    const { plan, jobId, reopen } = await abandon()
    let applied = 0
    const count: Meddle = (call) => {
      if (call.operation === 'apply' && call.moment === 'before' && call.stepId === 'three') applied++
    }
    const [second, third] = [reopen(count), reopen(count)]
    const seen = third.journal.listOpen()
    // What it looks at was read before the other took the job.
    third.journal.listOpen = () => seen
    expect(second.jobs.recover()).toEqual([{ jobId, outcome: 'resumed' }])
    expect(third.jobs.recover()).toEqual([{ jobId, outcome: 'left', error: code('busy') }])
    expect(() => third.jobs.resume(jobId)).toThrow(code('busy'))
    expect((await third.jobs.wait(jobId)).state).toBe('done')
    expect([applied, readDevice(plan.dir)]).toEqual([1, made(jobId)])
  })

  it('leaves a job of a kind that it does not know, which a person may close', async () => {
    const { plan, jobId, reopen } = await abandon('newer')
    const before = readDevice(plan.dir)
    const { jobs } = reopen(undefined, [deviceKind('make', 'resume')])
    expect(jobs.recover()).toMatchObject([{ jobId, outcome: 'left', error: { code: 'not-supported' } }])
    expect(jobs.get(jobId)).toMatchObject({ state: 'interrupted' })
    expect(jobs.get(jobId).log.at(-1)?.text).toContain('does not know jobs of kind newer')
    expect(readDevice(plan.dir)).toEqual(before)
    jobs.close(jobId)
    jobs.start('make', plan)
  })

  it('leaves a job whose steps this version would make otherwise', async () => {
    const { jobId, reopen } = await abandon()
    const kind = deviceKind('make', 'resume')
    const { jobs } = reopen(undefined, [
      { ...kind, steps: (plan, id) => kind.steps(plan as DevicePlan, id).slice(1) },
    ])
    expect(jobs.recover()).toMatchObject([{ jobId, outcome: 'left', error: { code: 'not-supported' } }])
    expect(() => jobs.resume(jobId)).toThrow(code('not-supported'))
  })
})

describe('a journal that takes no writes', () => {
  /** A console whose journal refuses states from a moment on. */
  function openFragile(refuse: (state: string, stepId: string | undefined) => boolean) {
    const plan = makePlan()
    const called: string[] = []
    const refuseIf = (state: string, stepId?: string): void => {
      if (refuse(state, stepId)) throw new AppError('device-rejected', 'disk full')
    }
    const { jobs } = openConsole(plan.base, {
      kinds: [
        deviceKind('make', 'resume', ({ operation, stepId, moment }) => {
          if (moment === 'before') called.push(`${operation} ${stepId}`)
        }),
      ],
      wrapJournal: (journal) => ({
        ...journal,
        setStepState(id, stepId, state, result) {
          refuseIf(state, stepId)
          journal.setStepState(id, stepId, state, result)
        },
        setJobState(id, state, error) {
          refuseIf(state)
          journal.setJobState(id, state, error)
        },
      }),
    })
    return { plan, jobs, called }
  }

  it.each([
    { state: 'applying', expected: ['apply one'] },
    { state: 'done', expected: ['apply one', 'apply two'] },
  ])('stops the job before it sends more: $state', async ({ state, expected }) => {
    let refusals = 1
    const { plan, jobs, called } = openFragile(
      (next, stepId) => stepId === 'two' && next === state && refusals-- > 0,
    )
    const { jobId } = jobs.start('make', plan)
    expect(await jobs.wait(jobId)).toMatchObject({ state: 'interrupted', error: { message: 'disk full' } })
    expect(called).toEqual(expected)
    jobs.resume(jobId)
    expect((await jobs.wait(jobId)).state).toBe('done')
    expect(readDevice(plan.dir)).toEqual(made(jobId))
  })

  it('not even that the job is interrupted: it shows so, and can be gone on with in the same console', async () => {
    let broken = true
    const { plan, jobs } = openFragile(
      (state, stepId) => broken && (stepId === 'two' || state === 'interrupted'),
    )
    const { jobId } = jobs.start('make', plan)
    expect((await jobs.wait(jobId)).state).toBe('interrupted')
    broken = false
    jobs.undo(jobId)
    expect((await jobs.wait(jobId)).state).toBe('undone')
    expect(readDevice(plan.dir)).toEqual(untouched)
  })

  it('in an undo: the operator is needed', async () => {
    let refusals = 1
    const { plan, jobs } = openFragile((state) => state === 'undone' && refusals-- > 0)
    const { jobId } = jobs.start('make', plan)
    jobs.cancel(jobId)
    expect(await jobs.wait(jobId)).toMatchObject({ state: 'needs-operator', error: { message: 'disk full' } })
    jobs.undo(jobId)
    expect((await jobs.wait(jobId)).state).toBe('undone')
    expect(readDevice(plan.dir)).toEqual(untouched)
  })
})
