import type { Job, JobDetails, JobLogEntry, JobState, Progress, StepState } from '#shared/domain/job.ts'
import type { WireError } from '#shared/errors/wire-error.ts'
import type { Json } from './step.ts'

export interface JournalStep {
  readonly id: string
  readonly state: StepState
  readonly result: Json | undefined
}

export interface JournalJob {
  readonly id: string
  readonly kind: string
  readonly plan: Json
  readonly state: JobState
  readonly cancelRequested: boolean
  readonly steps: readonly JournalStep[]
}

/** Who runs a job; another console on the same database must not touch it while that process lives. */
export interface JobOwner {
  readonly pid: number
  /** Tells this process from a later one with the same pid. */
  readonly startedAt: string
}

export interface NewJob {
  readonly id: string
  readonly kind: string
  readonly title: string
  readonly afterRestart: 'resume' | 'undo'
  readonly plan: Json
  readonly resources: readonly string[]
  readonly steps: readonly {
    id: string
    title: string
    target: string
    commands: readonly string[]
    undoCommands: readonly string[]
  }[]
  readonly owner: JobOwner
}

/** The durable record of jobs. Every method has committed (fsync) when it returns. */
export interface Journal {
  /** Throws busy, naming the other job, when an open job holds one of the resources. */
  create(job: NewJob): void
  get(id: string): JournalJob
  setJobState(id: string, state: JobState, error?: WireError): void
  setStepState(id: string, stepId: string, state: StepState, result?: Json): void
  /** Not durable at once; at most a few times a second. */
  saveProgress(id: string, progress: Progress): void
  log(id: string, entry: JobLogEntry): void
  requestCancel(id: string): void
  /** Takes an unfinished job over from an owner that is gone. Throws busy while `isAlive(owner)`. */
  takeOver(id: string, owner: JobOwner, isAlive: (owner: JobOwner) => boolean): void
  /** Jobs that are not done, undone or closed. */
  listOpen(): {
    readonly id: string
    readonly kind: string
    readonly state: JobState
    readonly owner: JobOwner
  }[]
  list(): Job[]
  details(id: string): JobDetails
}
