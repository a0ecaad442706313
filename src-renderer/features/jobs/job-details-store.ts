import { create } from 'zustand'
import type { JobDetails } from '#shared/domain/job.ts'
import type { WireError } from '#shared/errors/wire-error.ts'
import { call, listen } from '../../api/gantry.ts'

/** The one job whose steps and log are shown. */
export interface OpenedJob {
  readonly jobId: string | undefined
  readonly details: JobDetails | undefined
  readonly error: WireError | undefined
}

const nothing: OpenedJob = { jobId: undefined, details: undefined, error: undefined }
export const useOpenedJob = create<OpenedJob>(() => nothing)

/** Opens a job, or closes it when it is the opened one. */
export function toggleJob(jobId: string): void {
  useOpenedJob.setState(useOpenedJob.getState().jobId === jobId ? nothing : { ...nothing, jobId })
  void readAgain()
}

let reading = false
let isStale = false

/** One reading at a time; what happens meanwhile is read once more after it. */
async function readAgain(): Promise<void> {
  if (reading) {
    isStale = true
    return
  }
  reading = true
  do {
    isStale = false
    await read()
  } while (isStale)
  reading = false
}

async function read(): Promise<void> {
  const { jobId } = useOpenedJob.getState()
  if (jobId === undefined) return
  const answer = await call('jobs.get', { jobId })
  if (useOpenedJob.getState().jobId !== jobId) return
  useOpenedJob.setState(answer.ok ? { details: answer.value, error: undefined } : { error: answer.error })
}

/** Keeps the opened job live. Returns the function that ends it. */
export function followOpenedJob(): () => void {
  const touch = (jobId: string): void => {
    if (useOpenedJob.getState().jobId === jobId) void readAgain()
  }
  const stops = [
    listen('jobs.jobChanged', ({ id }) => touch(id)),
    listen('jobs.stepChanged', ({ jobId }) => touch(jobId)),
    listen('jobs.logAdded', ({ jobId }) => touch(jobId)),
  ]
  return () => {
    for (const stop of stops) stop()
  }
}
