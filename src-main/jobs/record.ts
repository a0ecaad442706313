import type { JobState, Progress, StepState } from '#shared/domain/job.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { WireError } from '#shared/errors/wire-error.ts'
import type { JobEvent } from './events.ts'
import type { Journal, JournalJob } from './journal.ts'
import type { Json } from './step.ts'

/** Characters of JSON that a step's result may have: results are names and numbers, not contents. */
const maxResultLength = 65_536

/** Progress is saved and told at most this often. */
const progressIntervalMs = 500

/**
 * The running job's line to the journal. Everything is committed before it is told; what the journal throws comes
 * through, and the runner must then send nothing more to a device.
 */
export interface JobRecord {
  stateOf(stepId: string): StepState
  /** Throws bug when the step has not run. */
  readonly resultOf: (stepId: string) => Json
  setStep(stepId: string, state: StepState, result?: Json): void
  /** Without an error the one on record stays. */
  setJob(state: JobState, error?: WireError): void
  /** Dropped when one was saved a moment ago, unless it is the job's last. */
  saveProgress(progress: Progress, options?: { readonly last: boolean }): void
  log(text: string, stepId?: string): void
  isCancelRequested(): boolean
}

export function openRecord(
  journal: Journal,
  job: JournalJob,
  now: () => number,
  emit: (event: JobEvent) => void,
): JobRecord {
  const steps = new Map(job.steps.map(({ id, state, result }) => [id, { state, result }]))
  let savedAt = Number.NEGATIVE_INFINITY

  const getStep = (stepId: string): { state: StepState; result: Json | undefined } => {
    const step = steps.get(stepId)
    if (step === undefined) throw new AppError('bug', `job ${job.id} has no step ${stepId}`)
    return step
  }
  return {
    stateOf: (stepId) => getStep(stepId).state,
    resultOf(stepId) {
      const { result } = getStep(stepId)
      if (result === undefined) throw new AppError('bug', `step ${stepId} of job ${job.id} has no result`)
      return result
    },
    setStep(stepId, state, result) {
      const { result: earlier } = getStep(stepId)
      journal.setStepState(job.id, stepId, state, result)
      steps.set(stepId, {
        state,
        result: state === 'done' ? result : state === 'undone' ? undefined : earlier,
      })
      emit({ name: 'jobs.stepChanged', payload: { jobId: job.id, stepId, state } })
    },
    setJob(state, error) {
      journal.setJobState(job.id, state, error)
      emit({ name: 'jobs.jobChanged', payload: journal.summary(job.id) })
    },
    saveProgress(progress, options) {
      if (now() - savedAt < progressIntervalMs && options?.last !== true) return
      savedAt = now()
      journal.saveProgress(job.id, progress)
      emit({ name: 'jobs.progressChanged', payload: { jobId: job.id, progress } })
    },
    log(text, stepId) {
      const at = new Date(now()).toISOString()
      const entry = stepId === undefined ? { at, text } : { at, stepId, text }
      journal.log(job.id, entry)
      emit({ name: 'jobs.logAdded', payload: { jobId: job.id, entry } })
    },
    isCancelRequested: () => journal.isCancelRequested(job.id),
  }
}

/** A step's result as the journal will give it back. Throws bug when it is too large to keep. */
export function checkResult(stepId: string, result: Json | void): Json | undefined {
  if (result === undefined) return undefined
  const text = JSON.stringify(result)
  if (text.length > maxResultLength)
    throw new AppError('bug', `The result of step ${stepId} has ${text.length} characters`, {
      effect: 'done',
    })
  return JSON.parse(text) as Json
}
