import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { deviceKind, readDevice } from '#test/unit/jobs/fake-device.ts'
import { code, failAt, made, makeGate, makePlan, untouched } from '#test/unit/jobs/scenario.ts'
import { openConsole } from '#test/unit/jobs/test-console.ts'

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

  it('applies a step beside the one before it, and the next when both are done', async () => {
    const plan = { ...makePlan(), beside: 'two' }
    const begun: string[] = []
    const bothBegun = Promise.withResolvers<void>()
    const kind = deviceKind('make', 'resume', async ({ operation, stepId, moment }) => {
      if (operation !== 'apply' || moment !== 'middle') return
      begun.push(stepId)
      if (begun.length === 2) bothBegun.resolve()
      await bothBegun.promise
    })
    const { jobs } = openConsole(plan.base, { kinds: [kind] })
    const { jobId } = jobs.start('make', plan)
    expect(await jobs.wait(jobId)).toMatchObject({ state: 'done', progress: { fraction: 1 } })
    expect(begun).toEqual(['one', 'two', 'three'])
    expect(readDevice(plan.dir)).toEqual(made(jobId))
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

  it('beside another waits for that one, and both are undone', async () => {
    const plan = { ...makePlan(), beside: 'two' }
    const failed = Promise.withResolvers<void>()
    const kind = deviceKind('make', 'resume', async (call) => {
      if (call.operation === 'apply' && call.stepId === 'one' && call.moment === 'middle')
        await failed.promise
      try {
        await failAt('two', 'apply', 'middle')(call)
      } finally {
        if (call.stepId === 'two' && call.moment === 'middle') failed.resolve()
      }
    })
    const { jobs } = openConsole(plan.base, { kinds: [kind] })
    const { jobId } = jobs.start('make', plan)
    expect(await jobs.wait(jobId)).toMatchObject({ state: 'undone', error: { code: 'device-rejected' } })
    expect(readDevice(plan.dir)).toEqual(untouched)
    expect(jobs.get(jobId).steps.map(({ state }) => state)).toEqual(['undone', 'undone', 'planned'])
    expect(jobs.get(jobId).log.map(({ stepId, text }) => `${stepId}: ${text}`)).toContain('one: Done')
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
