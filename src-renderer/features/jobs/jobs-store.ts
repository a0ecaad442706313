import { create } from 'zustand'
import type { Job, JobState, Progress } from '#shared/domain/job.ts'
import type { WireError } from '#shared/errors/wire-error.ts'
import { call, listen } from '../../api/gantry.ts'
import type { JobAction } from './job-actions.ts'

export interface JobsState {
  /** undefined until the first load; the most urgent first. */
  readonly jobs: readonly Job[] | undefined
  readonly error: WireError | undefined
  /** Why the last action on a job was refused, by job id. */
  readonly refusals: Readonly<Record<string, WireError>>
}

export const useJobs = create<JobsState>(() => ({ jobs: undefined, error: undefined, refusals: {} }))

/** What waits for a person comes first, then what is moving, then what has ended. */
const ranks: Record<JobState, number> = {
  'needs-operator': 0,
  interrupted: 0,
  running: 1,
  undoing: 1,
  done: 2,
  undone: 2,
  closed: 2,
}

const byUrgency = (a: Job, b: Job): number =>
  ranks[a.state] - ranks[b.state] || b.createdAt.localeCompare(a.createdAt) || b.id.localeCompare(a.id)

export function countJobs(jobs: readonly Job[]): { running: number; stuck: number } {
  return {
    running: jobs.filter(({ state }) => state === 'running' || state === 'undoing').length,
    stuck: jobs.filter(({ state }) => state === 'needs-operator').length,
  }
}

/** The list with this job in it, whether it was there or not. */
export const withJob = (jobs: readonly Job[], job: Job): Job[] =>
  [...jobs.filter(({ id }) => id !== job.id), job].toSorted(byUrgency)

/** A job that is not in the list yet comes with its own event. */
export const withProgress = (jobs: readonly Job[], jobId: string, progress: Progress): Job[] =>
  jobs.map((job) => (job.id === jobId ? { ...job, progress } : job))

export async function loadJobs(): Promise<void> {
  const answer = await call('jobs.list', {})
  if (answer.ok) useJobs.setState({ jobs: answer.value.toSorted(byUrgency), error: undefined })
  else useJobs.setState({ error: answer.error })
}

/** Loads the list and keeps it live. Returns the function that ends it. */
export function followJobs(): () => void {
  const stops = [
    listen('jobs.jobChanged', (job) => useJobs.setState(({ jobs }) => ({ jobs: withJob(jobs ?? [], job) }))),
    listen('jobs.progressChanged', ({ jobId, progress }) =>
      useJobs.setState(({ jobs }) => ({ jobs: jobs && withProgress(jobs, jobId, progress) })),
    ),
  ]
  void loadJobs()
  return () => {
    for (const stop of stops) stop()
  }
}

export async function actOnJob(action: JobAction, jobId: string): Promise<void> {
  const answer = await call(`jobs.${action}`, { jobId })
  useJobs.setState(({ refusals }) => {
    const { [jobId]: _before, ...others } = refusals
    return { refusals: answer.ok ? others : { ...others, [jobId]: answer.error } }
  })
}
