import type { z } from 'zod'
import type { jobEvents } from '#shared/contract/jobs.ts'

/** What the jobs of this process tell while they run: the events of the contract, after they were committed. */
export type JobEvent = {
  readonly [Name in keyof typeof jobEvents]: {
    readonly name: Name
    readonly payload: z.output<(typeof jobEvents)[Name]>
  }
}[keyof typeof jobEvents]
