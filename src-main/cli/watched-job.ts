import type { Job, JobDetails } from '#shared/domain/job.ts'

export type JobStep = JobDetails['steps'][number]

/** A job as it is watched: the latest state, and its steps. */
export interface WatchedJob {
  readonly job: Job
  readonly steps: readonly JobStep[]
}

/** Whether something is being done on devices for it. */
export const isMoving = ({ state }: Pick<Job, 'state'>): boolean => state === 'running' || state === 'undoing'
