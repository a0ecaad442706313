import type { ApiEvent } from '#main/api/event-hub.ts'
import type { Job } from '#shared/domain/job.ts'
import { handleInterrupts } from './interrupts.ts'
import { createProgressView } from './progress-view.ts'
import type { Tools } from './tools.ts'
import { isMoving } from './watched-job.ts'
import type { JobStep, WatchedJob } from './watched-job.ts'

export interface JobWatch {
  /** Resolves when all these jobs have come to an end, or to a person. */
  settle(jobIds: readonly string[]): Promise<Job[]>
  /** Whether Ctrl-C was pressed. */
  isInterrupted(): boolean
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
  const early = createEarlyEvents()
  let changed = (): void => undefined

  function take(jobId: string, event: ApiEvent): void {
    const before = watched.get(jobId)
    if (before === undefined) {
      early.keep(jobId, event)
      return
    }
    const now = applyEvent(before, event)
    watched.set(jobId, now)
    view.show([...watched.values()], now, event)
    changed()
  }
  const stopEvents = gantry.api.on((event) => {
    const jobId = jobIdOf(event)
    if (jobId !== undefined) take(jobId, event)
  })
  const interrupts = handleInterrupts(tools, () => [...watched.values()].map(({ job }) => job))
  const stopInterrupts = io.onInterrupt(() => {
    if (!interrupts.interrupt()) return
    view.end()
    interrupts.leave()
  })

  async function begin(jobId: string): Promise<void> {
    const { steps, log: _log, ...job } = await client.call('jobs.get', { jobId })
    const now = { job, steps }
    watched.set(jobId, now)
    const events = early.take(jobId)
    // what has happened meanwhile is told in its order, not with its outcome first
    if (events.length === 0) view.show([...watched.values()], now, undefined)
    for (const event of events) take(jobId, event)
    interrupts.cancelIfAsked(job)
  }

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
    isInterrupted: () => interrupts.wasAsked(),
    stop() {
      stopEvents()
      stopInterrupts()
      view.end()
    },
  }
}

function jobIdOf(event: ApiEvent): string | undefined {
  if (event.name === 'jobs.jobChanged') return event.payload.id
  return event.name === 'inventory.inventoryChanged' ? undefined : event.payload.jobId
}

/** Events of jobs whose details are not there yet: replayed when they are. Of progress only the latest counts. */
function createEarlyEvents(): {
  keep(jobId: string, event: ApiEvent): void
  take(jobId: string): ApiEvent[]
} {
  const kept = new Map<string, ApiEvent[]>()
  return {
    keep(jobId, event) {
      const before = kept.get(jobId) ?? []
      const isProgress = event.name === 'jobs.progressChanged'
      kept.set(jobId, [...(isProgress ? before.filter(({ name }) => name !== event.name) : before), event])
    },
    take(jobId) {
      const events = kept.get(jobId) ?? []
      kept.delete(jobId)
      return events
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
