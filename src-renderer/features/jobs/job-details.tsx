import { ErrorNotice } from '../../components/error-notice.tsx'
import type { JobDetails as Details, StepState } from '#shared/domain/job.ts'
import { useOpenedJob } from './job-details-store.ts'
import styles from './job-details.module.css'

const stepWords: Record<StepState, string> = {
  planned: 'to do',
  applying: 'at work',
  done: 'done',
  undoing: 'being undone',
  undone: 'undone',
  failed: 'failed',
}

const timeOfDay = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })

/** The steps of the opened job and its log, as they are now. */
export function JobDetails({ id, title }: { readonly id: string; readonly title: string }) {
  const { details, error } = useOpenedJob()
  return (
    <div id={id} className={styles.details}>
      {error === undefined ? null : <ErrorNotice error={error} />}
      {details === undefined ? (
        error === undefined ? (
          <p className={styles.muted}>Reading the job …</p>
        ) : null
      ) : (
        <>
          <Steps details={details} title={title} />
          <Log details={details} title={title} />
        </>
      )}
    </div>
  )
}

function Steps({ details, title }: { readonly details: Details; readonly title: string }) {
  return (
    <ol className={styles.steps} aria-label={`Steps of ${title}`}>
      {details.steps.map((step) => (
        <li key={step.id} className={styles.step}>
          <span className={styles.name}>{step.title}</span>
          <span className={styles.muted}>{step.target}</span>
          <span className={styles.state} data-state={step.state}>
            {stepWords[step.state]}
          </span>
        </li>
      ))}
    </ol>
  )
}

function Log({ details, title }: { readonly details: Details; readonly title: string }) {
  if (details.log.length === 0) return <p className={styles.muted}>The log is empty.</p>
  return (
    // a region that scrolls must be reachable by the keyboard
    <section className={styles.log} aria-label={`Log of ${title}`} tabIndex={0}>
      {details.log.map((entry, index) => (
        // entries are only added at the end
        <p key={index} className={styles.entry}>
          <time className={styles.muted} dateTime={entry.at}>
            {timeOfDay.format(new Date(entry.at))}
          </time>{' '}
          {entry.stepId === undefined ? '' : `${entry.stepId}: `}
          {entry.text}
        </p>
      ))}
    </section>
  )
}
