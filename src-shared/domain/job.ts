import { z } from 'zod'
import { wireErrorSchema } from '../errors/wire-error.ts'
import { instantSchema } from './names.ts'

export const jobStates = [
  'running',
  'done',
  'undoing',
  'undone',
  'interrupted',
  'needs-operator',
  'closed',
] as const
/**
 * running: steps are applied; undoing: steps are undone; done and undone are final;
 * interrupted: its console is gone, recovery decides; needs-operator: an undo failed and a person must look;
 * closed: a person has looked.
 */
export const jobStateSchema = z.enum(jobStates)
export type JobState = z.infer<typeof jobStateSchema>

export const stepStates = ['planned', 'applying', 'done', 'undoing', 'undone', 'failed'] as const
export const stepStateSchema = z.enum(stepStates)
export type StepState = z.infer<typeof stepStateSchema>

/** One step as the user sees it before anything runs (A18, U2). */
export const plannedStepSchema = z.object({
  id: z.string(),
  title: z.string(),
  /** The device: "array lab-array", "host lab-host", "console". */
  target: z.string(),
  commands: z.array(z.string()),
  /** The commands that undo it; empty: nothing to undo. */
  undoCommands: z.array(z.string()),
})
export type PlannedStep = z.infer<typeof plannedStepSchema>

export const progressSchema = z.object({
  /** 0..1, from the weights of the steps and the bytes of the running one. */
  fraction: z.number(),
  stepId: z.string().optional(),
  bytes: z.number().optional(),
  totalBytes: z.number().optional(),
  bytesPerSecond: z.number().optional(),
  remainingMs: z.number().optional(),
})
export type Progress = z.infer<typeof progressSchema>

export const jobStepSchema = plannedStepSchema.extend({
  state: stepStateSchema,
  startedAt: instantSchema.optional(),
  endedAt: instantSchema.optional(),
})

export const jobSchema = z.object({
  id: z.string(),
  kind: z.string(),
  title: z.string(),
  state: jobStateSchema,
  afterRestart: z.enum(['resume', 'undo']),
  createdAt: instantSchema,
  updatedAt: instantSchema,
  error: wireErrorSchema.optional(),
  progress: progressSchema,
})
export type Job = z.infer<typeof jobSchema>

/** Begins the text of a log entry that the user should see although the job goes on. */
export const warningMark = 'Warning: '

export const jobLogEntrySchema = z.object({
  at: instantSchema,
  stepId: z.string().optional(),
  text: z.string(),
})
export type JobLogEntry = z.infer<typeof jobLogEntrySchema>

export const jobDetailsSchema = jobSchema.extend({
  steps: z.array(jobStepSchema),
  log: z.array(jobLogEntrySchema),
})
export type JobDetails = z.infer<typeof jobDetailsSchema>
