import { useId, useState } from 'react'
import { Button } from '../../components/button.tsx'
import { ConfirmDialog } from '../../components/confirm-dialog.tsx'
import { ErrorNotice } from '../../components/error-notice.tsx'
import { Instant } from '../../components/instant.tsx'
import type { Job } from '#shared/domain/job.ts'
import type { WireError } from '#shared/errors/wire-error.ts'
import { JobDetails } from './job-details.tsx'
import { actionsFor, actionWords, needsPerson, stateWords } from './job-actions.ts'
import type { JobAction } from './job-actions.ts'
import { progressText } from './progress-text.ts'
import styles from './job-row.module.css'

export interface JobRowProps {
  readonly job: Job
  readonly refusal: WireError | undefined
  readonly onAct: (action: JobAction) => void
  /** Whether its steps and log are shown. */
  readonly isOpen: boolean
  readonly onToggle: () => void
}

export function JobRow({ job, refusal, onAct, isOpen, onToggle }: JobRowProps) {
  const [closing, setClosing] = useState(false)
  const detailsId = useId()
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
      <div className={styles.actions}>
        {actions.map((action) => (
          <Button key={action} label={`${actionWords[action]}: ${job.title}`} onPress={() => act(action)}>
            {actionWords[action]}
          </Button>
        ))}
        <Button
          label={`Steps and log: ${job.title}`}
          onPress={onToggle}
          expands={{ id: detailsId, isExpanded: isOpen }}
        >
          Steps and log
        </Button>
      </div>
      {isOpen ? <JobDetails id={detailsId} title={job.title} /> : null}
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
