import type { Job, JobState } from '#shared/domain/job.ts'
import { printable } from './io.ts'
import { note } from './tools.ts'
import type { Tools } from './tools.ts'
import { watchJobs } from './watch-jobs.ts'
import { isMoving } from './watched-job.ts'

export interface RecoveredJob {
  readonly job: Job
  readonly before: JobState
}

/**
 * Brings what an earlier process left behind to an end, and tells what was done here. Jobs of a console that is still
 * running are its own.
 */
export async function recoverJobs(tools: Tools): Promise<RecoveredJob[]> {
  const { client, gantry } = tools
  const before = new Map((await client.call('jobs.list', {})).map((job) => [job.id, job.state]))
  const touched = new Set<string>()
  const stopListening = gantry.api.on((event) => {
    if (event.name === 'jobs.jobChanged') touched.add(event.payload.id)
  })
  const watch = watchJobs(tools)
  try {
    await gantry.recover()
    const under = (await client.call('jobs.list', {})).filter((job) => touched.has(job.id) && isMoving(job))
    if (under.length > 0) await watch.settle(under.map(({ id }) => id))
  } finally {
    stopListening()
    watch.stop()
  }
  // A job that changed without an event of this process is being recovered by another one.
  const recovered = (await client.call('jobs.list', {})).flatMap((job) => {
    const state = touched.has(job.id) ? before.get(job.id) : undefined
    return state !== undefined && state !== job.state ? [{ job, before: state }] : []
  })
  for (const { job, before: state } of recovered)
    note(tools, printable(`Recovered: ${job.title} (${job.id}): ${state} -> ${job.state}`))
  return recovered
}
