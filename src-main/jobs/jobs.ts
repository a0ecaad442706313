import { setTimeout as delay } from 'node:timers/promises'
import type { Job, JobDetails, JobState, PlannedStep } from '#shared/domain/job.ts'
import { AppError, toAppError } from '#shared/errors/app-error.ts'
import { describeError } from '#shared/errors/user-text.ts'
import { encodeError } from '#shared/errors/wire-error.ts'
import type { JobEvent } from './events.ts'
import { readFailPoints } from './fail-points.ts'
import { newJobId } from './job-id.ts'
import type { JobOwner, Journal, JournalJob } from './journal.ts'
import { createProgressMeter } from './progress.ts'
import { openRecord } from './record.ts'
import { chooseDirection, listAbandoned, reasonToUndo } from './recovery.ts'
import type { Direction } from './recovery.ts'
import { runJob } from './runner.ts'
import type { JobRun } from './runner.ts'
import type { JobKind, Step } from './step.ts'

export interface JobsOptions {
  readonly journal: Journal
  /** Every kind that this version knows, given by the composition root. */
  readonly kinds: readonly JobKind[]
  /** This process; see currentOwner. */
  readonly owner: JobOwner
  readonly isAlive: (owner: JobOwner) => boolean
  readonly onEvent: (event: JobEvent) => void
  /** Milliseconds of the epoch; default: the clock. */
  readonly now?: () => number
  /** Environment, for the fail points of the crash matrix; default: no fail points. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** How often a request to cancel of another process is looked for while a step runs; default 500. */
  readonly cancelPollMs?: number
}

export interface RecoveredJob {
  readonly jobId: string
  /** taken-over: it runs now; left: another console has it or it cannot be worked on, see the error. */
  readonly outcome: 'resumed' | 'undoing' | 'left'
  readonly error?: AppError
}

/**
 * The jobs of a console: those that run in this process, and the record of all. Each job applies its steps one after
 * the other; jobs run beside each other. Unknown jobs and kinds throw not-found.
 */
export interface Jobs {
  /** The steps that a job would have; nothing is sent or recorded. */
  plan(kindName: string, plan: object): { readonly title: string; readonly steps: PlannedStep[] }
  /** Commits plan and steps, then runs. Throws busy while an open job holds one of its resources. */
  start(kindName: string, plan: object): { readonly jobId: string }
  /** Waits until nobody runs the job any more, also when it is another process that runs it. */
  wait(jobId: string): Promise<Job>
  /** A request: whoever runs the job stops and undoes; when nobody does, it is undone here. Throws stale (has ended). */
  cancel(jobId: string): void
  /** Goes on with an interrupted job or one that needs the operator. Throws busy (somebody runs it), stale (has ended). */
  resume(jobId: string): void
  /** Undoes an interrupted job or one that needs the operator. Throws busy, stale, bad-request (goes forward only). */
  undo(jobId: string): void
  /**
   * A person has looked: the job ends as it is and its resources become free. Throws stale unless it needs the
   * operator or is one that this version cannot work on.
   */
  close(jobId: string): void
  /** Takes over every job whose console is gone, and resumes or undoes it as its kind says. For the start of a console. */
  recover(): RecoveredJob[]
  /** The newest first; a job whose console is gone shows as interrupted. */
  list(): Job[]
  get(jobId: string): JobDetails
  /**
   * Starts no more jobs, ends those that run, and waits for them. `undo` cancels them; `leave` stops them between two
   * steps (or inside one) and leaves them to the next console's recover. An undo that has begun is waited for.
   */
  stop(how: 'undo' | 'leave'): Promise<void>
}

const restingStates: ReadonlySet<JobState> = new Set([
  'done',
  'undone',
  'interrupted',
  'needs-operator',
  'closed',
])

export function createJobs(options: JobsOptions): Jobs {
  const { journal, owner, now = Date.now, cancelPollMs = 500 } = options
  const kinds = new Map(options.kinds.map((kind) => [kind.name, kind]))
  const failPoints = readFailPoints(options.env ?? {})
  const running = new Map<string, JobRun>()
  let stopping = false

  const emit = (event: JobEvent): void => {
    try {
      options.onEvent(event)
    } catch {
      // Who listens does not decide over the job.
    }
  }
  const emitJob = (jobId: string): void => {
    try {
      emit({ name: 'jobs.jobChanged', payload: journal.summary(jobId) })
    } catch {
      // The job runs all the same; its own next commit meets what is wrong with the journal.
    }
  }

  /** A job of this process that it does not run is nobody's: its runner could not write to the journal. */
  const isRunBy = (jobId: string, other: JobOwner): boolean =>
    other.pid === owner.pid && other.startedAt === owner.startedAt
      ? running.has(jobId)
      : options.isAlive(other)

  function getKind(name: string): JobKind {
    const kind = kinds.get(name)
    if (kind === undefined) throw new AppError('not-found', 'There is no such kind of job', { object: name })
    return kind
  }

  function run(
    job: JournalJob,
    steps: readonly Step[],
    undo?: { readonly reason: AppError | undefined },
  ): void {
    const started = runJob(
      {
        jobId: job.id,
        kindName: job.kind,
        onFailure: getKind(job.kind).onFailure,
        steps,
        record: openRecord(journal, job, now, emit),
        meter: createProgressMeter(steps, now),
        failPoints,
        cancelPollMs,
      },
      undo,
    )
    running.set(job.id, started)
    void started.ended.then(() => {
      // It may have been taken up again by whoever was told of its end.
      if (running.get(job.id) === started) running.delete(job.id)
    })
  }

  function takeOver(
    jobId: string,
    by: 'operator' | 'recovery',
    choose: (job: JournalJob) => Direction,
  ): JobState {
    refuseWhenStopping()
    const chosen: { reason?: AppError | undefined; steps: readonly Step[] } = { steps: [] }
    const job = journal.takeOver(
      jobId,
      owner,
      (other) => isRunBy(jobId, other),
      (found) => {
        const direction = choose(found)
        chosen.steps = rebuildSteps(getKind(found.kind), found)
        chosen.reason = reasonToUndo(found.state, by)
        return direction
      },
    )
    run(job, chosen.steps, job.state === 'undoing' ? { reason: chosen.reason } : undefined)
    emitJob(jobId)
    return job.state
  }

  function refuseWhenStopping(): void {
    if (stopping) throw new AppError('busy', 'Gantry is about to end', { advice: 'Start it again first.' })
  }

  function recoverOne(jobId: string): RecoveredJob {
    try {
      const state = takeOver(jobId, 'recovery', (job) => chooseDirection(job, kinds.get(job.kind)))
      return { jobId, outcome: state === 'running' ? 'resumed' : 'undoing' }
    } catch (error) {
      const appError = toAppError(error)
      // busy, stale: somebody else was faster, or the job has ended in the meantime.
      if (appError.code !== 'busy' && appError.code !== 'stale') logLeft(jobId, appError)
      return { jobId, outcome: 'left', error: appError }
    }
  }

  /** In its log and not in its state: the console that can work on the job may just have taken it. */
  function logLeft(jobId: string, error: AppError): void {
    const text = ['Not taken over:', ...describeError(encodeError(error))].join('\n')
    journal.log(jobId, { at: new Date(now()).toISOString(), text })
  }

  /** Also when no version of Gantry at hand can work on it, so that a person can free its resources. */
  function mayClose(job: JournalJob): boolean {
    if (job.state === 'needs-operator') return true
    try {
      rebuildSteps(getKind(job.kind), job)
      return false
    } catch {
      return true
    }
  }

  /** So that the next console undoes it too, should this process be killed before it has. */
  function requestCancelQuietly(jobId: string): void {
    try {
      journal.requestCancel(jobId)
    } catch {
      // It has just ended, or the journal takes no writes: it is cancelled here all the same.
    }
  }

  function isAbandoned(jobId: string): boolean {
    const job = journal.get(jobId)
    return !restingStates.has(job.state) && !isRunBy(jobId, job.owner)
  }

  const showAbandoned = <T extends Job>(job: T): T =>
    !restingStates.has(job.state) && isAbandoned(job.id) ? { ...job, state: 'interrupted' } : job

  return {
    plan(kindName, plan) {
      const kind = getKind(kindName)
      return {
        title: kind.title(plan as never),
        steps: kind.steps(plan as never, newJobId()).map(toPlannedStep),
      }
    },
    start(kindName, plan) {
      refuseWhenStopping()
      const kind = getKind(kindName)
      const jobId = newJobId()
      // The steps of a later process come from the journal's JSON; so do these.
      const committed = JSON.parse(JSON.stringify(plan)) as never
      const steps = kind.steps(committed, jobId)
      checkSteps(steps, jobId)
      journal.create({
        id: jobId,
        kind: kindName,
        title: kind.title(committed),
        afterRestart: kind.afterRestart,
        plan: committed,
        resources: kind.resources(committed),
        steps: steps.map(toPlannedStep),
        owner,
      })
      run(journal.get(jobId), steps)
      emitJob(jobId)
      return { jobId }
    },
    async wait(jobId) {
      for (;;) {
        const job = showAbandoned(journal.summary(jobId))
        if (restingStates.has(job.state)) return job
        await (running.get(jobId)?.ended ?? delay(cancelPollMs))
      }
    },
    cancel(jobId) {
      journal.requestCancel(jobId)
      const { kind, state, owner: other } = journal.get(jobId)
      if (state !== 'interrupted' && isRunBy(jobId, other)) running.get(jobId)?.cancel()
      else if (getKind(kind).onFailure === 'undo') takeOver(jobId, 'operator', () => 'undoing')
      else throw forwardOnly(jobId)
    },
    resume(jobId) {
      takeOver(jobId, 'operator', () => 'running')
    },
    undo(jobId) {
      if (getKind(journal.get(jobId).kind).onFailure === 'needs-operator') throw forwardOnly(jobId)
      takeOver(jobId, 'operator', () => 'undoing')
    },
    close(jobId) {
      journal.takeOver(
        jobId,
        owner,
        (other) => isRunBy(jobId, other),
        (job) => {
          if (mayClose(job)) return 'closed'
          throw new AppError('stale', `It is ${job.state}; only a job that needs the operator is closed`, {
            object: `job ${jobId}`,
            advice: 'Resume or undo it.',
          })
        },
      )
      emitJob(jobId)
    },
    recover: () => listAbandoned(journal, options.isAlive).map(recoverOne),
    list: () => journal.list().map(showAbandoned),
    get: (jobId) => showAbandoned(journal.details(jobId)),
    async stop(how) {
      stopping = true
      for (const [jobId, job] of running)
        if (how === 'leave') job.leave()
        else {
          requestCancelQuietly(jobId)
          job.cancel()
        }
      await Promise.all([...running.values()].map((job) => job.ended))
    },
  }
}

const forwardOnly = (jobId: string): AppError =>
  new AppError('bad-request', 'A job of this kind only goes forward; there is nothing to undo', {
    object: `job ${jobId}`,
    advice: `gantry jobs resume ${jobId} goes on with it.`,
  })

/** The steps of a committed plan; they must be those that were committed. */
function rebuildSteps(kind: JobKind, job: JournalJob): Step[] {
  const steps = kind.steps(job.plan as never, job.id)
  const [known, rebuilt] = [job.steps, steps].map((list) => list.map((step) => step.id).join(' '))
  if (known !== rebuilt)
    throw new AppError('not-supported', 'This version of Gantry makes other steps from its plan', {
      object: `job ${job.id}`,
      facts: { 'steps on record': known ?? '', 'steps of this version': rebuilt ?? '' },
      advice: 'Start the version of Gantry that began it.',
    })
  return steps
}

function checkSteps(steps: readonly Step[], jobId: string): void {
  const ids = new Set(steps.map((step) => step.id))
  const unsettled = steps.find((step) => step.settledBy !== undefined && !ids.has(step.settledBy))
  if (ids.size !== steps.length || unsettled !== undefined)
    throw new AppError(
      'bug',
      'The steps of a job have equal ids, or one is settled by a step that is not there',
      {
        object: `job ${jobId}`,
      },
    )
}

function toPlannedStep({ id, title, target, commands, undoCommands }: Step): PlannedStep {
  return { id, title, target, commands: [...commands], undoCommands: [...undoCommands] }
}
