import type { PlannedStep } from '#shared/domain/job.ts'
import type { ByteProgress } from '#main/drivers/action.ts'

/** What JSON can hold. A member that is undefined is left out when it is written. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json | undefined }

export interface StepContext {
  readonly signal: AbortSignal
  /** Id of the job: the mark on what the step makes. */
  readonly jobId: string
  report(progress: ByteProgress): void
  log(text: string): void
  /** Result of an earlier step of this job; throws bug when that step has not run. */
  resultOf(stepId: string): Json
}

/**
 * Whether a step's effect is on the device. `partial`: something of it is there and must be undone before it is
 * applied again.
 */
export type Observation = 'present' | 'absent' | 'partial'

/**
 * One effect on a device. The runner commits the intent before `apply`, the result after it. `apply` of a step whose
 * effect is present must succeed. `undo` of what is not there succeeds. A step without `undo` changes nothing.
 */
export interface Step extends PlannedStep {
  /** Share of the job's progress; about the seconds it is expected to take. */
  readonly weight: number
  /**
   * Id of a later step that takes this effect away on purpose or vouches for it: a mount is settled by its unmount,
   * a copy by the unmount after its verification. Once that step has begun, a resumed job no longer looks for the
   * effect. Default: it is looked for, and applied again when it was lost, until the job has ended.
   */
  readonly settledBy?: string
  /**
   * Neither this step nor the one before it needs the other: they are applied at the same time. Not for two steps that
   * report bytes.
   */
  readonly besidePrevious?: true
  /** The result must be small: it goes into the journal. */
  apply(context: StepContext): Promise<Json | void>
  observe(context: StepContext): Promise<Observation>
  undo?(context: StepContext): Promise<void>
}

/** A kind of job: steps follow from the committed plan alone, so that they can be rebuilt after a restart. */
export interface JobKind<Plan = never> {
  readonly name: string
  /** What recovery does with a job whose console died. */
  readonly afterRestart: 'resume' | 'undo'
  /**
   * What follows when a step fails or the job is cancelled: `undo` all of it, or leave it `needs-operator` with what
   * is done, because it can only go forward (resume goes on with it).
   */
  readonly onFailure: 'undo' | 'needs-operator'
  title(plan: Plan): string
  /** Names of what no two open jobs may work on at once: "container/lab-array/vol1/web". */
  resources(plan: Plan): string[]
  steps(plan: Plan, jobId: string): Step[]
}
