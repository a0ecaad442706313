import type { JobDetails, PlannedStep } from '#shared/domain/job.ts'
import { GiB } from '#shared/units/bytes.ts'

const at = '2026-11-20T09:31:00.000Z'

export const sampleSteps: PlannedStep[] = [
  {
    id: 'create-container',
    title: 'Create the container file',
    target: 'array lab-array',
    commands: ["set -eu\ntruncate -s 4724464640 '/srv/vol1/web'"],
    undoCommands: ["rm -f '/srv/vol1/web'"],
  },
  {
    id: 'copy',
    title: 'Copy the VM data',
    target: 'host lab-host',
    commands: ["dd if='/srv/templates/web.raw' of=/dev/stdout"],
    undoCommands: [],
  },
]

/** A job with the sample steps, running. */
export function sampleJob(id: string, changed: Partial<JobDetails> = {}): JobDetails {
  return {
    id,
    kind: 'stage',
    title: 'Stage debian-12-web as lab-array/vol1/web',
    state: 'running',
    afterRestart: 'undo',
    createdAt: at,
    updatedAt: at,
    progress: { fraction: 0 },
    steps: sampleSteps.map((step) => ({ ...step, state: 'planned' })),
    log: [],
    ...changed,
  }
}

/** One job in each state that looks different on a page or in a list. */
export const sampleJobs: JobDetails[] = [
  sampleJob('job-running', {
    progress: {
      fraction: 0.42,
      stepId: 'copy',
      bytes: 1.8 * GiB,
      totalBytes: 4 * GiB,
      bytesPerSecond: 98 * 1024 * 1024,
      remainingMs: 23_000,
    },
    steps: sampleSteps.map((step, index) => ({ ...step, state: index === 0 ? 'done' : 'applying' })),
    log: [
      { at, stepId: 'create-container', text: 'Started' },
      { at, stepId: 'create-container', text: 'Done' },
      { at, stepId: 'copy', text: 'Started' },
    ],
  }),
  sampleJob('job-stuck', {
    kind: 'deploy',
    title: 'Deploy lab-array/vol1/database as db-7 on lab-host',
    state: 'needs-operator',
    progress: { fraction: 0.6 },
    error: {
      code: 'device-rejected',
      message: 'The array did not destroy the LUN',
      object: 'array lab-array',
      effect: 'unknown',
      facts: { stderr: 'tgtadm: this logical unit is still active' },
      causes: [],
    },
  }),
  sampleJob('job-undone', {
    kind: 'deploy',
    title: 'Deploy lab-array/vol2/office as office-1 on lab-host',
    state: 'undone',
    progress: { fraction: 0 },
    error: {
      code: 'unreachable',
      message: 'The connection to the host was lost',
      object: 'host lab-host',
      effect: 'none',
      facts: {},
      causes: [],
    },
  }),
  sampleJob('job-done', {
    kind: 'deploy',
    title: 'Deploy lab-array/vol1/web as web-2 on lab-host',
    state: 'done',
    progress: { fraction: 1 },
  }),
]
