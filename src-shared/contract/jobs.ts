import { z } from 'zod'
import { jobDetailsSchema, jobLogEntrySchema, jobSchema, progressSchema } from '../domain/job.ts'
import { call } from './define.ts'

const jobRef = z.object({ jobId: z.string() })
const done = z.object({})

export const jobCalls = {
  'jobs.list': call(z.object({}), z.array(jobSchema)),
  'jobs.get': call(jobRef, jobDetailsSchema),
  /** Goes on with an interrupted job, or with one that needs the operator; answers when it has started. */
  'jobs.resume': call(jobRef, done),
  /** Undoes an interrupted job, or tries the undo again of one that needs the operator. */
  'jobs.undo': call(jobRef, done),
  /** A request: the job stops between two steps or inside a copy, then it is undone. */
  'jobs.cancel': call(jobRef, done),
  /** A person has looked at a job that needs the operator; its resources become free. */
  'jobs.close': call(jobRef, done),
}

export const jobEvents = {
  'jobs.jobChanged': jobSchema,
  'jobs.stepChanged': z.object({ jobId: z.string(), stepId: z.string(), state: z.string() }),
  'jobs.progressChanged': z.object({ jobId: z.string(), progress: progressSchema }),
  'jobs.logAdded': z.object({ jobId: z.string(), entry: jobLogEntrySchema }),
}
