import type { JobOwner, Journal, JournalJob } from '#main/jobs/journal.ts'
import type { JobState } from '#shared/domain/job.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { Connection } from './database.ts'
import { required } from './documents.ts'
import { describeJob, toJob, toJobDetails, toJobState, toJournalJob, toOwner } from './journal-rows.ts'
import type { JobRow, LogRow, OpenJobRow, StepRow } from './journal-rows.ts'

/** Characters of one log entry, and entries of one job, that are kept. */
export const maxLogTextLength = 4000
export const maxLogEntries = 2000

/** Queries that run between any two steps, or for every open job; their plans are tested. */
export const hotQueries = {
  openJobs: `SELECT id, kind, state, owner_pid, owner_started_at FROM jobs
    WHERE state NOT IN ('done', 'undone', 'closed') ORDER BY id`,
  job: 'SELECT * FROM jobs WHERE id = ?',
  cancelRequested: 'SELECT cancel_requested FROM jobs WHERE id = ?',
  steps: 'SELECT * FROM job_steps WHERE job_id = ? ORDER BY position',
  setStep: `UPDATE job_steps SET state = @state,
      result = CASE @state WHEN 'done' THEN @result WHEN 'undone' THEN NULL ELSE result END,
      started_at = CASE @state WHEN 'applying' THEN @at ELSE started_at END,
      ended_at = CASE WHEN @state IN ('done', 'failed', 'undone') THEN @at ELSE NULL END
    WHERE job_id = @jobId AND step_id = @stepId`,
  jobsAfter: 'SELECT id FROM jobs WHERE id > ? ORDER BY id',
  resourceHolder: `SELECT jobs.id, jobs.title FROM job_resources JOIN jobs ON jobs.id = job_resources.job_id
    WHERE resource = ?`,
  freeResources: 'DELETE FROM job_resources WHERE job_id = ?',
  log: 'SELECT at, step_id, text FROM job_log WHERE job_id = ? ORDER BY seq',
  lastLogSeq: 'SELECT max(seq) FROM job_log WHERE job_id = ?',
  trimLog: 'DELETE FROM job_log WHERE job_id = ? AND seq <= ?',
} as const

const finalStates: ReadonlySet<JobState> = new Set(['done', 'undone', 'closed'])
const runStates: ReadonlySet<JobState> = new Set(['running', 'undoing'])

/** The journal over SQLite. `now` gives the time for timestamps, in milliseconds of the epoch. */
export function createJournal({ db, write }: Connection, now: () => number): Journal {
  const selectJob = db.prepare<[string], JobRow>(hotQueries.job)
  const selectJobs = db.prepare<[], JobRow>('SELECT * FROM jobs ORDER BY id DESC')
  const selectAfter = db.prepare<[string], string>(hotQueries.jobsAfter).pluck()
  const selectOpen = db.prepare<[], OpenJobRow>(hotQueries.openJobs)
  const selectCancel = db.prepare<[string], number>(hotQueries.cancelRequested).pluck()
  const selectSteps = db.prepare<[string], StepRow>(hotQueries.steps)
  const selectLog = db.prepare<[string], LogRow>(hotQueries.log)
  const selectLastSeq = db.prepare<[string], number | null>(hotQueries.lastLogSeq).pluck()
  const selectHolder = db.prepare<[string], { id: string; title: string }>(hotQueries.resourceHolder)
  const insertJob = db.prepare<[Record<string, string | number>]>(
    `INSERT INTO jobs (id, kind, title, after_restart, plan, state, progress, owner_pid, owner_started_at,
       created_at, updated_at)
     VALUES (@id, @kind, @title, @afterRestart, @plan, 'running', @progress, @ownerPid, @ownerStartedAt, @at, @at)`,
  )
  const insertStep = db.prepare<[string, number, string, string, string, string, string]>(
    `INSERT INTO job_steps (job_id, position, step_id, title, target, commands, undo_commands)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
  )
  const insertResource = db.prepare<[string, string]>(
    'INSERT INTO job_resources (resource, job_id) VALUES (?, ?)',
  )
  const insertLog = db.prepare<[string, number, string, string | null, string]>(
    'INSERT INTO job_log (job_id, seq, at, step_id, text) VALUES (?, ?, ?, ?, ?)',
  )
  const updateJob = db.prepare<[string, string | null, string, string]>(
    'UPDATE jobs SET state = ?, error = coalesce(?, error), updated_at = ? WHERE id = ?',
  )
  const updateStep = db.prepare<
    [{ jobId: string; stepId: string; state: string; result: string | null; at: string }]
  >(hotQueries.setStep)
  const updateOwner = db.prepare<[string, number, string, string, string]>(
    'UPDATE jobs SET state = ?, owner_pid = ?, owner_started_at = ?, updated_at = ? WHERE id = ?',
  )
  const forgetRequest = db.prepare<[string]>(
    'UPDATE jobs SET cancel_requested = 0, error = NULL WHERE id = ?',
  )
  const updateCancel = db.prepare<[string]>('UPDATE jobs SET cancel_requested = 1 WHERE id = ?')
  const updateProgress = db.prepare<[string, string]>('UPDATE jobs SET progress = ? WHERE id = ?')
  const freeResources = db.prepare<[string]>(hotQueries.freeResources)
  const trimLog = db.prepare<[string, number]>(hotQueries.trimLog)

  const at = (): string => new Date(now()).toISOString()
  const getRow = (id: string): JobRow => required(selectJob.get(id), describeJob(id))
  const get = (id: string): JournalJob => toJournalJob(getRow(id), selectSteps.all(id))
  /** One consistent view of several queries. */
  const read = <T>(work: () => T): T => db.transaction(work).deferred()
  /** A commit that the next durable one takes along to the disk: what is lost with it must not matter. */
  const writeRelaxed = (work: () => void): void => {
    if (db.inTransaction) {
      work()
      return
    }
    db.pragma('synchronous = NORMAL')
    try {
      write(work)
    } finally {
      db.pragma('synchronous = FULL')
    }
  }

  return {
    create(job) {
      write(() => {
        for (const resource of new Set(job.resources)) {
          const holder = selectHolder.get(resource)
          if (holder !== undefined) throw heldBy(resource, holder)
        }
        insertJob.run({
          id: job.id,
          kind: job.kind,
          title: job.title,
          afterRestart: job.afterRestart,
          plan: JSON.stringify(job.plan),
          progress: JSON.stringify({ fraction: 0 }),
          ownerPid: job.owner.pid,
          ownerStartedAt: job.owner.startedAt,
          at: at(),
        })
        for (const resource of new Set(job.resources)) insertResource.run(resource, job.id)
        for (const [position, step] of job.steps.entries())
          insertStep.run(
            job.id,
            position,
            step.id,
            step.title,
            step.target,
            JSON.stringify(step.commands),
            JSON.stringify(step.undoCommands),
          )
      })
    },
    get: (id) => read(() => get(id)),
    isHeld: (resource) => selectHolder.get(resource) !== undefined,
    setJobState(id, state, error) {
      write(() => {
        const { changes } = updateJob.run(state, error === undefined ? null : JSON.stringify(error), at(), id)
        required(changes === 1 ? true : undefined, describeJob(id))
        if (finalStates.has(state)) freeResources.run(id)
      })
    },
    setStepState(id, stepId, state, result) {
      write(() => {
        const { changes } = updateStep.run({
          jobId: id,
          stepId,
          state,
          result: result === undefined ? null : JSON.stringify(result),
          at: at(),
        })
        required(changes === 1 ? true : undefined, `step ${stepId} of ${describeJob(id)}`)
      })
    },
    saveProgress(id, progress) {
      writeRelaxed(() => updateProgress.run(JSON.stringify(progress), id))
    },
    log(id, entry) {
      writeRelaxed(() => {
        const seq = (selectLastSeq.get(id) ?? 0) + 1
        insertLog.run(id, seq, entry.at, entry.stepId ?? null, shorten(entry.text))
        trimLog.run(id, seq - maxLogEntries)
      })
    },
    requestCancel(id) {
      write(() => {
        const { state } = get(id)
        if (finalStates.has(state) || state === 'needs-operator') throw ended(id, state)
        updateCancel.run(id)
      })
    },
    isCancelRequested: (id) => required(selectCancel.get(id), describeJob(id)) === 1,
    takeOver(id, owner, isAlive, next) {
      return write(() => {
        const job = get(id)
        if (finalStates.has(job.state)) throw ended(id, job.state)
        if (runStates.has(job.state) && isAlive(job.owner)) throw inOtherHands(id, job.owner)
        const state = next(job)
        updateOwner.run(state, owner.pid, owner.startedAt, at(), id)
        if (state === 'running') forgetRequest.run(id)
        if (state === 'closed') freeResources.run(id)
        return get(id)
      })
    },
    listOpen: () =>
      selectOpen.all().map((row) => ({
        id: row.id,
        kind: row.kind,
        state: toJobState(row.state, row.id),
        owner: toOwner(row),
      })),
    list: () => selectJobs.all().map(toJob),
    listAfter: (id) => selectAfter.all(id),
    summary: (id) => toJob(getRow(id)),
    details: (id) => read(() => toJobDetails(getRow(id), selectSteps.all(id), selectLog.all(id))),
  }
}

function heldBy(resource: string, holder: { id: string; title: string }): AppError {
  return new AppError('busy', `${describeJob(holder.id)} is working on it`, {
    object: resource,
    facts: { job: holder.id, title: holder.title },
  })
}

function ended(id: string, state: JobState): AppError {
  return new AppError('stale', `It is ${state}`, {
    object: describeJob(id),
    facts: { state },
    advice:
      state === 'needs-operator'
        ? 'Undo it, resume it, or close it after you have looked at the devices.'
        : 'Nothing needs to be done: it has ended.',
  })
}

function inOtherHands(id: string, owner: JobOwner): AppError {
  return new AppError('busy', 'Another Gantry is working on it', {
    object: describeJob(id),
    facts: { 'process id': String(owner.pid) },
  })
}

function shorten(text: string): string {
  if (text.length <= maxLogTextLength) return text
  const half = maxLogTextLength / 2 - 20
  const cut = text.length - 2 * half
  return `${text.slice(0, half)}\n... ${cut} characters ...\n${text.slice(-half)}`
}
