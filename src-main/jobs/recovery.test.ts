import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { AppError } from '#shared/errors/app-error.ts'
import { deviceKind, readDevice } from '#test/unit/jobs/fake-device.ts'
import type { Meddle } from '#test/unit/jobs/fake-device.ts'
import { makeMortal } from '#test/unit/jobs/mortal-journal.ts'
import { code, failAt, made, makeGate, makePlan, nobody, untouched } from '#test/unit/jobs/scenario.ts'
import { openConsole } from '#test/unit/jobs/test-console.ts'
import type { JobKind } from './step.ts'

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
    const { jobs } = reopen(undefined, [{ ...kind, steps: (plan, id) => kind.steps(plan, id).slice(1) }])
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
