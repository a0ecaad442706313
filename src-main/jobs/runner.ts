import type { StepState } from '#shared/domain/job.ts'
import { AppError, toAppError } from '#shared/errors/app-error.ts'
import { describeError } from '#shared/errors/user-text.ts'
import { encodeError } from '#shared/errors/wire-error.ts'
import type { FailPoints } from './fail-points.ts'
import type { ProgressMeter } from './progress.ts'
import { checkResult } from './record.ts'
import type { JobRecord } from './record.ts'
import type { Observation, Step, StepContext } from './step.ts'

export interface RunnerInput {
  readonly jobId: string
  readonly kindName: string
  readonly onFailure: 'undo' | 'needs-operator'
  readonly steps: readonly Step[]
  readonly record: JobRecord
  readonly meter: ProgressMeter
  readonly failPoints: FailPoints
  /** How often the journal is asked for a request to cancel while a step runs. */
  readonly cancelPollMs: number
}

/** A job that runs in this process. */
export interface JobRun {
  /** Settles when the job is in a state in which nobody runs it; never rejects. */
  readonly ended: Promise<void>
  /** Stops the applying and undoes; a job that is being undone goes on undoing. */
  cancel(): void
  /** Stops the applying and leaves the job interrupted; a job that is being undone goes on undoing. */
  leave(): void
}

/** How the applying of steps came to its end. */
type Ending =
  | { readonly to: 'done' }
  | { readonly to: 'undo'; readonly reason: AppError }
  | { readonly to: 'interrupted'; readonly error?: AppError }

type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: AppError }

/** Steps in these states may have left something on a device. */
const touchedStates: ReadonlySet<StepState> = new Set(['applying', 'done', 'undoing', 'failed'])

/** Applies the steps that are not done, or, with a reason to, undoes all that were touched. */
export function runJob(input: RunnerInput, undo?: { readonly reason: AppError | undefined }): JobRun {
  const controller = new AbortController()
  let wish: 'go-on' | 'cancel' | 'leave' = 'go-on'
  let undoing = false

  const cancel = (): void => {
    wish = 'cancel'
    controller.abort()
  }
  const isCancelled = (): boolean => {
    if (wish === 'go-on' && input.record.isCancelRequested()) cancel()
    return wish === 'cancel'
  }

  async function run(): Promise<void> {
    const ending: Ending | undefined = undo === undefined ? await applyAll() : undefined
    if (ending?.to === 'done') {
      input.record.saveProgress(input.meter.current(), { last: true })
      input.record.setJob('done')
    } else if (ending?.to === 'interrupted') {
      input.record.setJob('interrupted', ending.error && encodeError(ending.error))
    } else if (ending !== undefined && input.onFailure === 'needs-operator') {
      input.record.setJob('needs-operator', encodeError(ending.reason))
    } else {
      undoing = true
      await undoAll(ending?.reason ?? undo?.reason)
    }
  }

  async function applyAll(): Promise<Ending> {
    const poll = setInterval(() => {
      try {
        isCancelled()
      } catch {
        // The journal cannot be read just now; the next commit tells, and stops the job if need be.
      }
    }, input.cancelPollMs)
    try {
      for (const group of groupsOf(input.steps)) {
        const ending = checkWish() ?? (await bringAllAbout(group))
        if (ending !== undefined) return ending
      }
      return isCancelled() ? { to: 'undo', reason: cancelledError() } : { to: 'done' }
    } finally {
      clearInterval(poll)
    }
  }

  function checkWish(): Ending | undefined {
    if (isCancelled()) return { to: 'undo', reason: cancelledError() }
    return wish === 'leave' ? { to: 'interrupted' } : undefined
  }

  /** All have come to their end when it returns or throws: nothing is under way on a device any more. */
  async function bringAllAbout(steps: readonly Step[]): Promise<Ending | undefined> {
    const outcomes = await Promise.allSettled(steps.map(bringAbout))
    const endings = outcomes.map((outcome) => {
      if (outcome.status === 'rejected') throw outcome.reason
      return outcome.value
    })
    return endings.find((ending) => ending?.to === 'interrupted') ?? endings.find(Boolean)
  }

  /** Makes the step's effect be there, asking the device first when an earlier run has touched it. */
  async function bringAbout(step: Step): Promise<Ending | undefined> {
    const { record, meter } = input
    const before = record.stateOf(step.id)
    if (!touchedStates.has(before)) return apply(step)
    if (before === 'done' && isSettled(step)) {
      meter.finish(step.id)
      return undefined
    }
    const seen = await attempt(() => step.observe(contextOf(step, controller.signal)))
    if (!seen.ok) return cannotTell(step, seen.error)
    record.log(describeObservation(before, seen.value), step.id)
    if (before === 'done' && seen.value === 'present') {
      meter.finish(step.id)
      return undefined
    }
    return (seen.value === 'partial' ? await clear(step) : undefined) ?? apply(step)
  }

  function isSettled(step: Step): boolean {
    if (step.settledBy === undefined) return false
    const state = input.record.stateOf(step.settledBy)
    return state === 'applying' || state === 'done'
  }

  /** Without knowing what is on the device nothing is changed there; a later resume or undo asks again. */
  function cannotTell(step: Step, error: AppError): Ending {
    const wished = checkWish()
    if (wished !== undefined) return wished
    logError('It cannot be seen whether this is there', error, step)
    return { to: 'interrupted', error }
  }

  async function clear(step: Step): Promise<Ending | undefined> {
    if (step.undo === undefined) return undefined
    const { record, failPoints, kindName } = input
    record.setStep(step.id, 'undoing')
    failPoints.hit(kindName, step.id, 'before-clear')
    const outcome = await attempt(() => undoStep(step))
    if (!outcome.ok) return failed(step, outcome.error)
    failPoints.hit(kindName, step.id, 'after-clear')
    return undefined
  }

  async function apply(step: Step): Promise<Ending | undefined> {
    const { record, meter, failPoints, kindName } = input
    record.setStep(step.id, 'applying')
    record.log('Started', step.id)
    failPoints.hit(kindName, step.id, 'after-intent')
    meter.begin(step.id)
    record.saveProgress(meter.current())
    const outcome = await attempt(async () => {
      const result = checkResult(step.id, await step.apply(contextOf(step, controller.signal)))
      failPoints.failStep(kindName, step.id)
      return result
    })
    if (!outcome.ok) return failed(step, outcome.error)
    failPoints.hit(kindName, step.id, 'after-apply')
    record.setStep(step.id, 'done', outcome.value)
    failPoints.hit(kindName, step.id, 'after-done')
    record.log('Done', step.id)
    meter.finish(step.id)
    record.saveProgress(meter.current())
    return undefined
  }

  function failed(step: Step, error: AppError): Ending {
    logError(wish === 'go-on' ? 'Failed' : 'Stopped', error, step)
    // Left as it is on record: begun, so that whoever goes on asks the device.
    if (wish === 'leave') return { to: 'interrupted' }
    input.record.setStep(step.id, 'failed')
    return { to: 'undo', reason: wish === 'cancel' ? cancelledError() : error }
  }

  async function undoAll(reason: AppError | undefined): Promise<void> {
    const { record, failPoints, kindName } = input
    record.setJob('undoing', reason && encodeError(reason))
    for (const step of input.steps.toReversed()) {
      if (!touchedStates.has(record.stateOf(step.id))) continue
      if (step.undo !== undefined) {
        record.setStep(step.id, 'undoing')
        record.log('Undoing', step.id)
        failPoints.hit(kindName, step.id, 'before-undo')
        const outcome = await attempt(() => undoStep(step))
        if (!outcome.ok) {
          needOperator(step, outcome.error, reason)
          return
        }
        failPoints.hit(kindName, step.id, 'after-undo')
      }
      record.setStep(step.id, 'undone')
    }
    record.setJob('undone')
  }

  function needOperator(step: Step, error: AppError, reason: AppError | undefined): void {
    logError('Undo failed', error, step)
    input.record.setStep(step.id, 'failed')
    const wire = encodeError(error)
    input.record.setJob('needs-operator', {
      ...wire,
      facts: {
        ...wire.facts,
        step: step.title,
        ...(reason === undefined ? {} : { 'undone because': reason.message }),
      },
    })
  }

  /** Not cancellable: an undo that is cut off would have to be done again. */
  async function undoStep(step: Step): Promise<void> {
    await step.undo?.(contextOf(step, new AbortController().signal))
  }

  function contextOf(step: Step, signal: AbortSignal): StepContext {
    const { record, meter, jobId } = input
    return {
      signal,
      jobId,
      report(bytes) {
        meter.report(bytes)
        quietly(() => record.saveProgress(meter.current()))
      },
      log(text) {
        quietly(() => record.log(text, step.id))
      },
      resultOf: record.resultOf,
    }
  }

  function logError(what: string, error: AppError, step: Step): void {
    input.record.log([`${what}:`, ...describeError(encodeError(error))].join('\n'), step.id)
  }

  /** The journal does not take writes: nothing more is sent to a device. The record stays as true as it can be. */
  function giveUp(error: unknown): void {
    quietly(() => input.record.setJob(undoing ? 'needs-operator' : 'interrupted', encodeError(error)))
  }

  return {
    // Not before this function has returned: whoever is told of the first step must find the job running.
    ended: Promise.resolve().then(run).catch(giveUp),
    cancel,
    leave() {
      if (wish === 'go-on') wish = 'leave'
      controller.abort()
    },
  }
}

/** Each step with those that are applied beside it. */
function groupsOf(steps: readonly Step[]): Step[][] {
  const groups: Step[][] = []
  for (const step of steps) {
    const last = groups.at(-1)
    if (step.besidePrevious === true && last !== undefined) last.push(step)
    else groups.push([step])
  }
  return groups
}

async function attempt<T>(work: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await work() }
  } catch (error) {
    return { ok: false, error: toAppError(error) }
  }
}

/** For what must not fail a device's work: a line of log, a figure of progress. */
function quietly(work: () => void): void {
  try {
    work()
  } catch {
    // The next commit of a state meets the same trouble and stops the job.
  }
}

function cancelledError(): AppError {
  return new AppError('cancelled', 'Cancelled by request')
}

function describeObservation(before: StepState, seen: Observation): string {
  if (seen === 'partial') return 'Seen on the device in part: undone and applied again'
  if (before === 'done')
    return seen === 'present' ? 'Seen on the device' : 'Lost on the device: applied again'
  return seen === 'present'
    ? 'Seen on the device: confirmed by applying it again'
    : 'Not on the device: applied'
}
