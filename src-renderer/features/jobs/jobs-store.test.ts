import { expect, test } from 'vitest'
import type { Job } from '#shared/domain/job.ts'
import { sampleJob } from '#test/support/sample-jobs.ts'
import { actionsFor } from './job-actions.ts'
import { countJobs, withJob, withProgress } from './jobs-store.ts'
import { progressText } from './progress-text.ts'

const job = (id: string, changed: Partial<Job> = {}): Job => sampleJob(id, changed)

test('what waits for a person comes first, then what moves, then the newest', () => {
  const jobs = [
    job('old', { state: 'done', createdAt: '2026-01-01T00:00:00.000Z' }),
    job('new', { state: 'undone', createdAt: '2026-03-01T00:00:00.000Z' }),
    job('moving', { state: 'undoing', createdAt: '2026-01-01T00:00:00.000Z' }),
  ]
  expect(withJob(jobs, job('stuck', { state: 'needs-operator' })).map(({ id }) => id)).toEqual([
    'stuck',
    'moving',
    'new',
    'old',
  ])
})

test('a job replaces itself; progress of a job that is not known changes nothing', () => {
  const jobs = [job('a'), job('b')]
  expect(withJob(jobs, job('a', { state: 'done' })).filter(({ id }) => id === 'a')).toMatchObject([
    { state: 'done' },
  ])
  expect(withProgress(jobs, 'c', { fraction: 1 })).toEqual(jobs)
  expect(withProgress(jobs, 'b', { fraction: 0.5 })[1]?.progress.fraction).toBe(0.5)
})

test('the header counts what moves and what waits', () => {
  expect(countJobs([job('a'), job('b', { state: 'needs-operator' }), job('c', { state: 'done' })])).toEqual({
    running: 1,
    stuck: 1,
  })
})

test('a job that needs the operator can be resumed, undone or closed; one that ended cannot be touched', () => {
  expect(actionsFor('needs-operator')).toEqual(['resume', 'undo', 'close'])
  expect(actionsFor('running')).toEqual(['cancel'])
  for (const state of ['done', 'undone', 'closed', 'undoing'] as const) expect(actionsFor(state)).toEqual([])
})

test('progress leaves out what is not known', () => {
  expect(progressText({ fraction: 0.429 })).toBe('42 %')
  expect(progressText({ fraction: 0, bytes: 1024, bytesPerSecond: 2048, remainingMs: 65_000 })).toBe(
    '0 % · 1.00 KiB · 2.00 KiB/s · 1 min 05 s left',
  )
})
