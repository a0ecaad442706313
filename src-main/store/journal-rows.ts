import { z } from 'zod'
import type { JobOwner, JournalJob, JournalStep } from '#main/jobs/journal.ts'
import type { Json } from '#main/jobs/step.ts'
import { jobSchema, jobStepSchema, progressSchema } from '#shared/domain/job.ts'
import type { Job, JobDetails, JobLogEntry, JobState } from '#shared/domain/job.ts'
import { wireErrorSchema } from '#shared/errors/wire-error.ts'
import { decodeDocument } from './documents.ts'

export interface JobRow {
  id: string
  kind: string
  title: string
  after_restart: string
  plan: string
  state: string
  cancel_requested: number
  error: string | null
  progress: string
  owner_pid: number
  owner_started_at: string
  created_at: string
  updated_at: string
}

export type OpenJobRow = Pick<JobRow, 'id' | 'kind' | 'state' | 'owner_pid' | 'owner_started_at'>

export interface StepRow {
  step_id: string
  title: string
  target: string
  commands: string
  undo_commands: string
  state: string
  result: string | null
  started_at: string | null
  ended_at: string | null
}

export interface LogRow {
  at: string
  step_id: string | null
  text: string
}

const commandsSchema = z.array(z.string())

export const describeJob = (id: string): string => `job ${id}`

export const toJobState = (state: string, id: string): JobState =>
  decodeWord(jobSchema.shape.state, state, describeJob(id))

export const toOwner = (row: OpenJobRow): JobOwner => ({
  pid: row.owner_pid,
  startedAt: row.owner_started_at,
})

export function toJournalJob(row: JobRow, steps: readonly StepRow[]): JournalJob {
  const object = describeJob(row.id)
  return {
    id: row.id,
    kind: row.kind,
    plan: JSON.parse(row.plan) as Json,
    state: toJobState(row.state, row.id),
    cancelRequested: row.cancel_requested === 1,
    error: row.error === null ? undefined : decodeDocument(wireErrorSchema, row.error, object),
    owner: toOwner(row),
    steps: steps.map((step): JournalStep => ({
      id: step.step_id,
      state: decodeWord(jobStepSchema.shape.state, step.state, object),
      result: step.result === null ? undefined : (JSON.parse(step.result) as Json),
    })),
  }
}

export function toJob(row: JobRow): Job {
  const object = describeJob(row.id)
  return {
    id: row.id,
    kind: row.kind,
    title: row.title,
    state: toJobState(row.state, row.id),
    afterRestart: decodeWord(jobSchema.shape.afterRestart, row.after_restart, object),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    ...(row.error === null ? {} : { error: decodeDocument(wireErrorSchema, row.error, object) }),
    progress: decodeDocument(progressSchema, row.progress, object),
  }
}

export function toJobDetails(row: JobRow, steps: readonly StepRow[], log: readonly LogRow[]): JobDetails {
  const object = describeJob(row.id)
  return {
    ...toJob(row),
    steps: steps.map((step) => ({
      id: step.step_id,
      title: step.title,
      target: step.target,
      commands: decodeDocument(commandsSchema, step.commands, object),
      undoCommands: decodeDocument(commandsSchema, step.undo_commands, object),
      state: decodeWord(jobStepSchema.shape.state, step.state, object),
      ...(step.started_at === null ? {} : { startedAt: step.started_at }),
      ...(step.ended_at === null ? {} : { endedAt: step.ended_at }),
    })),
    log: log.map(toLogEntry),
  }
}

function toLogEntry(row: LogRow): JobLogEntry {
  return { at: row.at, ...(row.step_id === null ? {} : { stepId: row.step_id }), text: row.text }
}

function decodeWord<S extends z.ZodType>(schema: S, word: string, object: string): z.output<S> {
  return decodeDocument(schema, JSON.stringify(word), object)
}
