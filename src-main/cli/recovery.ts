import type { Job, JobState } from '#shared/domain/job.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { describeError } from '#shared/errors/user-text.ts'
import { printable } from './io.ts'
import { note } from './tools.ts'
import type { Tools } from './tools.ts'
import { watchJobs } from './watch-jobs.ts'

export interface RecoveredJob {
  readonly job: Job
  readonly before: JobState
}

/**
 * Brings what an earlier process left behind to an end, and tells what was done. Jobs of a console that is still
 * running are its own. Throws cancelled when Ctrl-C was pressed meanwhile: what was to come after is not begun.
 */
export async function recoverJobs(tools: Tools): Promise<RecoveredJob[]> {
  const { client, gantry } = tools
  const before = new Map((await client.call('jobs.list', {})).map((job) => [job.id, job.state]))
  const watch = watchJobs(tools)
  try {
    const jobs = await watch.settle(await gantry.recover())
    const recovered = jobs.map((job) => ({ job, before: before.get(job.id) ?? job.state }))
    for (const { job, before: state } of recovered) tellOutcome(tools, job, state)
    if (watch.isInterrupted())
      throw new AppError('cancelled', 'Interrupted while earlier jobs were recovered', {
        advice: 'Nothing else was started.',
      })
    return recovered
  } finally {
    watch.stop()
  }
}

/** Jobs that nobody works on and that have not come to an end. */
export const isUnfinished = ({ state }: Job): boolean => state === 'interrupted' || state === 'needs-operator'

function tellOutcome(tools: Tools, job: Job, before: JobState): void {
  const word = isUnfinished(job) ? 'Not recovered' : 'Recovered'
  note(tools, printable(`${word}: ${job.title} (${job.id}): ${before} -> ${job.state}`))
  if (isUnfinished(job) && job.error !== undefined)
    for (const line of describeError(job.error)) note(tools, printable(`  ${line}`))
}
