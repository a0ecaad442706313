import type { ApiEvent } from '#main/api/event-hub.ts'
import type { Job } from '#shared/domain/job.ts'
import { toAppError } from '#shared/errors/app-error.ts'
import { exitCodes } from '#shared/errors/user-text.ts'
import { createProgressView } from './progress-view.ts'
import { note } from './tools.ts'
import type { Tools } from './tools.ts'
import { isMoving } from './watched-job.ts'
import type { JobStep, WatchedJob } from './watched-job.ts'

export interface JobWatch {
  /** Resolves when all these jobs have come to an end, or to a person. */
  settle(jobIds: readonly string[]): Promise<Job[]>
  stop(): void
}

/**
 * Watches from now on: begun before jobs are started, so that no event is missed. Ctrl-C asks for the jobs to be
 * cancelled; a second one leaves them to the next recovery and ends the process.
 */
export function watchJobs(tools: Tools): JobWatch {
  const { client, gantry, io } = tools
  const view = createProgressView(tools)
  const watched = new Map<string, WatchedJob>()
  // jobs that changed before their details were asked for
  const early = new Map<string, Job>()
  let changed = (): void => undefined

  const stopEvents = gantry.api.on((event) => {
    const before = 'jobId' in event.payload ? watched.get(event.payload.jobId) : watchedJobOf(event)
    if (event.name === 'jobs.jobChanged') early.set(event.payload.id, event.payload)
    if (before === undefined) return
    const now = applyEvent(before, event)
    watched.set(now.job.id, now)
    view.show([...watched.values()], now, event)
    changed()
  })
  const watchedJobOf = (event: ApiEvent): WatchedJob | undefined =>
    event.name === 'jobs.jobChanged' ? watched.get(event.payload.id) : undefined

  async function begin(jobId: string): Promise<void> {
    const { steps, log: _log, ...job } = await client.call('jobs.get', { jobId })
    const newer = early.get(jobId)
    const now = { job: newer !== undefined && newer.updatedAt >= job.updatedAt ? newer : job, steps }
    watched.set(jobId, now)
    view.show([...watched.values()], now, undefined)
  }

  const stopInterrupts = io.onInterrupt(
    interruptHandler(
      tools,
      () => [...watched.values()],
      () => view.end(),
    ),
  )

  return {
    async settle(jobIds) {
      await Promise.all(jobIds.map(begin))
      const jobsNow = (): Job[] => jobIds.flatMap((id) => watched.get(id)?.job ?? [])
      await new Promise<void>((resolve) => {
        changed = () => {
          if (!jobsNow().some(isMoving)) resolve()
        }
        changed()
      })
      return jobsNow()
    },
    stop() {
      stopEvents()
      stopInterrupts()
      view.end()
    },
  }
}

function applyEvent({ job, steps }: WatchedJob, event: ApiEvent): WatchedJob {
  if (event.name === 'jobs.jobChanged') return { job: event.payload, steps }
  if (event.name === 'jobs.progressChanged')
    return { job: { ...job, progress: event.payload.progress }, steps }
  if (event.name !== 'jobs.stepChanged') return { job, steps }
  const { stepId, state } = event.payload
  return {
    job,
    steps: steps.map((step) => (step.id === stepId ? { ...step, state: state as JobStep['state'] } : step)),
  }
}

function interruptHandler(tools: Tools, watched: () => WatchedJob[], endView: () => void): () => void {
  let asked = false
  return () => {
    const open = watched().filter(({ job }) => isMoving(job))
    if (!asked && open.length > 0) {
      asked = true
      note(
        tools,
        'Cancelling: the work stops, then it is undone. Press Ctrl-C again to leave without waiting.',
      )
      for (const { job } of open)
        tools.client
          .call('jobs.cancel', { jobId: job.id })
          .catch((error: unknown) => note(tools, `${job.title}: ${toAppError(error).message}`))
      return
    }
    endView()
    note(tools, 'Left before the end. What remains is undone or finished by "gantry jobs recover":')
    for (const { job } of open) note(tools, `  ${job.id}  ${job.state}  ${job.title}`)
    tools.io.exitNow(exitCodes.cancelled)
  }
}
