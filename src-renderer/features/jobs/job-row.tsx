import { useState } from 'react'
import { Button } from '../../components/button.tsx'
import { ConfirmDialog } from '../../components/confirm-dialog.tsx'
import { ErrorNotice } from '../../components/error-notice.tsx'
import { Instant } from '../../components/instant.tsx'
import type { Job } from '#shared/domain/job.ts'
import type { WireError } from '#shared/errors/wire-error.ts'
import { actionsFor, actionWords, needsPerson, stateWords } from './job-actions.ts'
import type { JobAction } from './job-actions.ts'
import { progressText } from './progress-text.ts'
import styles from './job-row.module.css'

export interface JobRowProps {
  readonly job: Job
  readonly refusal: WireError | undefined
  readonly onAct: (action: JobAction) => void
}

export function JobRow({ job, refusal, onAct }: JobRowProps) {
  const [closing, setClosing] = useState(false)
  const isMoving = job.state === 'running' || job.state === 'undoing'
  const act = (action: JobAction): void => (action === 'close' ? setClosing(true) : onAct(action))
  const actions = actionsFor(job.state)
  return (
    <li className={styles.job}>
      <div className={styles.head}>
        <span className={styles.title}>{job.title}</span>
        <span className={styles.state} data-state={job.state}>
          {stateWords[job.state]}
        </span>
      </div>
      {isMoving ? (
        <>
          <progress className={styles.bar} aria-label={job.title} max={1} value={job.progress.fraction} />
          <p className={styles.facts}>{progressText(job.progress)}</p>
        </>
      ) : (
        <p className={styles.facts}>
          <Instant at={job.updatedAt} />
        </p>
      )}
      {job.error === undefined ? null : (
        <ErrorNotice error={job.error} tone={needsPerson(job.state) ? 'report' : 'past'} />
      )}
      {refusal === undefined ? null : <ErrorNotice error={refusal} />}
      {actions.length === 0 ? null : (
        <div className={styles.actions}>
          {actions.map((action) => (
            <Button key={action} label={`${actionWords[action]}: ${job.title}`} onPress={() => act(action)}>
              {actionWords[action]}
            </Button>
          ))}
        </div>
      )}
      {closing ? (
        <ConfirmDialog
          title="Close this job?"
          text="Gantry will not try to undo what is left of it, and other jobs may use the same containers and LUNs again. Close it when you have looked at the devices."
          confirmLabel="Close the job"
          onDismiss={() => setClosing(false)}
          onConfirm={() => {
            setClosing(false)
            onAct('close')
          }}
        />
      ) : null}
    </li>
  )
}
