import { AppError } from '#shared/errors/app-error.ts'
import type { JobOwner, Journal, JournalJob } from './journal.ts'
import type { JobKind } from './step.ts'

/** Whether a job without an owner goes on, or is undone. */
export type Direction = 'running' | 'undoing'

/**
 * What becomes of a job whose console is gone: an undo that had begun is ended and a request to cancel is honoured;
 * otherwise the kind decides. A kind that this version does not know cannot be worked on.
 */
export function chooseDirection(
  job: JournalJob,
  kind: Pick<JobKind, 'afterRestart' | 'onFailure'> | undefined,
): Direction {
  if (kind === undefined)
    throw new AppError('not-supported', `This version of Gantry does not know jobs of kind ${job.kind}`, {
      object: `job ${job.id}`,
      advice: 'Start the version of Gantry that began it.',
    })
  if (kind.onFailure === 'needs-operator') return 'running'
  if (job.state === 'undoing' || job.cancelRequested) return 'undoing'
  return kind.afterRestart === 'resume' ? 'running' : 'undoing'
}

/** Ids of the jobs that nobody works on but should. Those that need the operator wait for a person. */
export function listAbandoned(journal: Journal, isAlive: (owner: JobOwner) => boolean): string[] {
  return journal
    .listOpen()
    .filter((job) => job.state !== 'needs-operator' && !isAlive(job.owner))
    .map((job) => job.id)
}

/**
 * Why a job is undone that did not fail itself: what is on record stays; undefined keeps it. `state` is the one that
 * the job was found in.
 */
export function reasonToUndo(state: JournalJob['state'], by: 'operator' | 'recovery'): AppError | undefined {
  if (state === 'undoing' || state === 'needs-operator') return undefined
  return by === 'operator'
    ? new AppError('cancelled', 'Undone by request')
    : new AppError('cancelled', 'Undone because the console that ran it had ended', {
        advice: 'Nothing needs to be done; start it again when you like.',
      })
}
