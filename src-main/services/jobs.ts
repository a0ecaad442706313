import type { ContractHandlers } from '#shared/contract/index.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { ServiceContext } from './context.ts'
import { restoreLunsForJobs } from './restore-for-jobs.ts'

type JobHandlers = Pick<ContractHandlers, Extract<keyof ContractHandlers, `jobs.${string}`>>

export function createJobHandlers(context: ServiceContext): JobHandlers {
  const { jobs } = context
  return {
    'jobs.list': async () => jobs.list(),
    'jobs.get': async ({ jobId }) => jobs.get(jobId),
    'jobs.resume': async ({ jobId }) => {
      if (jobs.get(jobId).afterRestart === 'undo')
        throw new AppError('bad-request', 'A job of this kind is not resumed, only undone', {
          object: `job ${jobId}`,
          advice: `gantry jobs undo ${jobId} removes what it made; then start it again.`,
        })
      await restoreLunsForJobs(context, [jobId])
      jobs.resume(jobId)
      return {}
    },
    'jobs.undo': async ({ jobId }) => {
      await restoreLunsForJobs(context, [jobId])
      jobs.undo(jobId)
      return {}
    },
    'jobs.cancel': async ({ jobId }) => {
      jobs.cancel(jobId)
      return {}
    },
    'jobs.close': async ({ jobId }) => {
      jobs.close(jobId)
      return {}
    },
  }
}
