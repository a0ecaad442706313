import type { JobState } from '#shared/domain/job.ts'

export type JobAction = 'cancel' | 'resume' | 'undo' | 'close'

const actionsByState: Record<JobState, readonly JobAction[]> = {
  running: ['cancel'],
  undoing: [],
  interrupted: ['resume', 'undo'],
  'needs-operator': ['resume', 'undo', 'close'],
  done: [],
  undone: [],
  closed: [],
}

/** What a person can do with a job in this state. */
export const actionsFor = (state: JobState): readonly JobAction[] => actionsByState[state]

export const needsPerson = (state: JobState): boolean => state === 'needs-operator' || state === 'interrupted'

export const actionWords: Record<JobAction, string> = {
  cancel: 'Cancel',
  resume: 'Resume',
  undo: 'Undo',
  close: 'Close …',
}

export const stateWords: Record<JobState, string> = {
  running: 'running',
  undoing: 'being undone',
  interrupted: 'interrupted',
  'needs-operator': 'needs you',
  done: 'done',
  undone: 'undone',
  closed: 'closed',
}
