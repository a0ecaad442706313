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
  /** Why it is undone, interrupted or in need of the operator. */
  readonly error: WireError | undefined
  readonly owner: JobOwner
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

/** The state in which a job that is taken over goes on; `closed` ends it as it is. */
export type TakeOverState = 'running' | 'undoing' | 'closed'

/**
 * The durable record of jobs. Every method but saveProgress and log has committed (fsync) when it returns; those two
 * are on the disk at the latest with the next state. All throw not-found for an unknown job.
 */
export interface Journal {
  /** In state running. Throws busy, naming the other job, when an open job holds one of the resources. */
  create(job: NewJob): void
  get(id: string): JournalJob
  /** Whether an open job holds this resource. */
  isHeld(resource: string): boolean
  /** An error replaces the one on record; without one that stays. Final states free the job's resources. */
  setJobState(id: string, state: JobState, error?: WireError): void
  /** The result is kept with `done` and forgotten with `undone`. */
  setStepState(id: string, stepId: string, state: StepState, result?: Json): void
  /** At most a few times a second. */
  saveProgress(id: string, progress: Progress): void
  /** Long texts are cut in the middle; of very long logs the oldest entries go. */
  log(id: string, entry: JobLogEntry): void
  /** Throws stale when the job has ended or needs the operator. */
  requestCancel(id: string): void
  /** Cheap: asked between steps and twice a second inside them. */
  isCancelRequested(id: string): boolean
  /**
   * Makes `owner` the one who runs the job, in the state that `next` chooses from what is on record; what `next`
   * throws is thrown and changes nothing. One transaction: of two who take a job over, the second finds the first as
   * its owner. Throws busy while the job is running or undoing and `isAlive(its owner)`, stale when it has ended.
   * `running` drops a request to cancel and the error on record.
   */
  takeOver(
    id: string,
    owner: JobOwner,
    isAlive: (owner: JobOwner) => boolean,
    next: (job: JournalJob) => TakeOverState,
  ): JournalJob
  /** Jobs that are not done, undone or closed; the oldest first. */
  listOpen(): {
    readonly id: string
    readonly kind: string
    readonly state: JobState
    readonly owner: JobOwner
  }[]
  /** The newest first. */
  list(): Job[]
  /** Ids of the jobs that are newer than this one, the oldest first; ids rise with time. */
  listAfter(id: string): string[]
  summary(id: string): Job
  details(id: string): JobDetails
}
