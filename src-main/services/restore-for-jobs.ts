import { arrayTarget } from '#main/jobs/kinds/lun-steps.ts'
import type { ServiceContext } from './context.ts'
import { restoreLostLuns } from './plans/lost-luns.ts'

const askTimeoutMs = 30_000

/**
 * Makes the LUNs again that the arrays of these jobs have lost, so that a job finds what it had made. What cannot be
 * asked or made again is left to the jobs themselves, whose steps say what they lack.
 */
export async function restoreLunsForJobs(context: ServiceContext, jobIds: readonly string[]): Promise<void> {
  const targets = new Set(
    jobIds.flatMap((jobId) => context.jobs.get(jobId).steps.map(({ target }) => target)),
  )
  const arrays = context.store.arrays.list().filter((array) => targets.has(arrayTarget(array)))
  await Promise.allSettled(arrays.map(({ config }) => restore(context, config.name)))
}

async function restore(context: ServiceContext, array: string): Promise<void> {
  const present = await context.devices.array(array).listLuns(AbortSignal.timeout(askTimeoutMs))
  for (const { kind, plan } of restoreLostLuns(context, array, present))
    await context.jobs.wait(context.jobs.start(kind, plan).jobId)
}
