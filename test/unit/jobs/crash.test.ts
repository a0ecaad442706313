import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { listFailPoints } from '#main/jobs/fail-points.ts'
import { createJobs } from '#main/jobs/jobs.ts'
import type { Jobs } from '#main/jobs/jobs.ts'
import { currentOwner, isOwnerAlive } from '#main/jobs/owner.ts'
import { openStore } from '#main/store/store.ts'
import { deviceKind, readDevice } from './fake-device.ts'
import type { DevicePlan } from './fake-device.ts'

const script = fileURLToPath(new URL('crash-console.ts', import.meta.url))
const kinds = [deviceKind('make-resume', 'resume'), deviceKind('make-undo', 'undo')]
const files = ['one', 'two']
const bases: string[] = []
afterEach(() => {
  for (const base of bases.splice(0)) rmSync(base, { recursive: true, force: true })
})
const untouched = { foreign: 'not ours' }

/** Compiled scripts of the killed processes, kept by one that ends of itself: half of their start is compiling. */
let compileCache = ''

beforeAll(async () => {
  compileCache = mkdtempSync(join(tmpdir(), 'gantry-unit-'))
  const { ended } = await runConsole('make-resume', {})
  expect(ended).toEqual({ output: 'done', errors: '', signal: null })
})
afterAll(() => {
  rmSync(compileCache, { recursive: true, force: true })
})

/** Runs a job in a real process. */
async function runConsole(kind: string, env: Readonly<Record<string, string>>) {
  const base = mkdtempSync(join(tmpdir(), 'gantry-unit-'))
  bases.push(base)
  const plan: DevicePlan = { dir: join(base, 'device'), files, door: true }
  readDevice(plan.dir)
  writeFileSync(join(plan.dir, 'foreign'), 'not ours')
  const database = join(base, 'gantry.db')
  const child = spawn(process.execPath, [script, database, JSON.stringify(plan), kind], {
    env: { ...process.env, NODE_COMPILE_CACHE: compileCache, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [output, errors, [, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  return { ended: { output, errors, signal: signal as NodeJS.Signals | null }, plan, database }
}

/** A process that is killed by its fail point, and the console that is started after it. */
async function crash(
  kind: string,
  env: Readonly<Record<string, string>>,
): Promise<{ jobs: Jobs; plan: DevicePlan }> {
  const { ended, plan, database } = await runConsole(kind, env)
  expect(ended).toEqual({ output: '', errors: '', signal: 'SIGKILL' })
  const store = openStore(database)
  onTestFinished(() => store.close())
  const jobs = createJobs({
    journal: store.journal,
    kinds,
    owner: currentOwner(),
    isAlive: isOwnerAlive,
    onEvent: () => undefined,
    cancelPollMs: 20,
  })
  return { jobs, plan }
}

/** The job that the dead process left, and what the device should hold when it is done. */
function findLeft(jobs: Jobs): { jobId: string; made: Record<string, string> } {
  const [job, ...more] = jobs.list()
  expect(more).toEqual([])
  expect(job?.state).toBe('interrupted')
  const jobId = job?.id ?? ''
  return { jobId, made: { ...untouched, one: jobId, two: jobId } }
}

const steps = (kind: string) => deviceKind(kind, 'resume').steps({ dir: '', files, door: true }, 'any')

describe.each(['make-resume', 'make-undo'])('%s, killed', (kind) => {
  const points = listFailPoints(kind, steps(kind))

  it('has a point for every step and moment', () => {
    // 4 steps x 3 moments, and before and after the undo of the 3 that have one.
    expect(points).toHaveLength(18)
  })

  it.each(points)('at $name, is recovered to its declared end', async ({ env }) => {
    const { jobs, plan } = await crash(kind, env)
    const { jobId, made } = findLeft(jobs)
    const undone = kind === 'make-undo' || 'GANTRY_FAIL_STEP' in env
    expect(jobs.recover()).toEqual([{ jobId, outcome: undone ? 'undoing' : 'resumed' }])
    expect((await jobs.wait(jobId)).state).toBe(undone ? 'undone' : 'done')
    expect(readDevice(plan.dir)).toEqual(undone ? untouched : made)
    expect(jobs.recover()).toEqual([])
  })
})

describe('killed in the middle, then commanded by a person', () => {
  it.each(['make-undo/one/after-apply', 'make-undo/two/before-undo'])(
    'at %s, resume ends it',
    async (name) => {
      const { jobs, plan } = await crash('make-undo', {
        GANTRY_FAIL_AT: name,
        ...(name.endsWith('undo') ? { GANTRY_FAIL_STEP: 'make-undo/close' } : {}),
      })
      const { jobId, made } = findLeft(jobs)
      jobs.resume(jobId)
      expect((await jobs.wait(jobId)).state).toBe('done')
      expect(readDevice(plan.dir)).toEqual(made)
    },
  )

  it('cancel undoes it', async () => {
    const { jobs, plan } = await crash('make-resume', { GANTRY_FAIL_AT: 'make-resume/two/after-done' })
    const { jobId } = findLeft(jobs)
    jobs.cancel(jobId)
    expect((await jobs.wait(jobId)).state).toBe('undone')
    expect(readDevice(plan.dir)).toEqual(untouched)
  })
})
