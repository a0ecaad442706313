import type { Job } from '#shared/domain/job.ts'
import { toAppError } from '#shared/errors/app-error.ts'
import { exitCodes } from '#shared/errors/user-text.ts'
import { note } from './tools.ts'
import type { Tools } from './tools.ts'
import { isMoving } from './watched-job.ts'

export interface InterruptHandler {
  /** Ctrl-C was pressed: the first time asks the jobs to be cancelled; true: it is not the first time. */
  interrupt(): boolean
  /** Whether it was pressed. */
  wasAsked(): boolean
  /** For a job that was started after the request. */
  cancelIfAsked(job: Job): void
  /** Says what remains and ends the process. */
  leave(): void
}

/** What Ctrl-C means while jobs run. `jobs` are those that are being waited for. */
export function handleInterrupts(tools: Tools, jobs: () => Job[]): InterruptHandler {
  let asked = false
  const cancel = (job: Job): void => {
    if (job.state !== 'running') return
    tools.client
      .call('jobs.cancel', { jobId: job.id })
      .catch((error: unknown) => note(tools, `${job.title}: ${toAppError(error).message}`))
  }
  return {
    interrupt() {
      if (asked) return true
      asked = true
      note(
        tools,
        'Cancelling: the work stops, then it is undone. Press Ctrl-C again to leave without waiting.',
      )
      for (const job of jobs()) cancel(job)
      return false
    },
    wasAsked: () => asked,
    cancelIfAsked(job) {
      if (asked) cancel(job)
    },
    leave() {
      const open = jobs().filter(isMoving)
      note(tools, 'Left before the end. "gantry jobs recover" finishes or undoes what is still open:')
      for (const job of open) note(tools, `  ${job.id}  ${job.state}  ${job.title}`)
      if (open.length === 0) note(tools, '  "gantry jobs list --open" shows whether a job had been started.')
      tools.io.exitNow(exitCodes.cancelled)
    },
  }
}
