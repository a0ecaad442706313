import { useEffect } from 'react'
import { EmptyState } from '../../components/empty-state.tsx'
import { ErrorNotice } from '../../components/error-notice.tsx'
import { Panel } from '../../components/panel.tsx'
import { followOpenedJob, toggleJob, useOpenedJob } from './job-details-store.ts'
import { JobRow } from './job-row.tsx'
import { stateWords } from './job-actions.ts'
import { actOnJob, followJobs, loadJobs, useJobs } from './jobs-store.ts'
import styles from './jobs-view.module.css'

export function JobsView({ className }: { className: string | undefined }) {
  const { jobs, error, refusals } = useJobs()
  const openedId = useOpenedJob(({ jobId }) => jobId)
  useEffect(followJobs, [])
  useEffect(followOpenedJob, [])
  return (
    <div className={className}>
      <Panel title="Jobs" {...(jobs === undefined ? {} : { note: String(jobs.length) })}>
        {error === undefined ? null : <ErrorNotice error={error} onRetry={() => void loadJobs()} />}
        {jobs === undefined ? (
          error === undefined ? (
            <EmptyState text="Reading the jobs …" />
          ) : null
        ) : jobs.length === 0 ? (
          <EmptyState text="Nothing has been run yet." />
        ) : (
          <ul className={styles.list}>
            {jobs.map((job) => (
              <JobRow
                key={job.id}
                job={job}
                refusal={refusals[job.id]}
                onAct={(action) => void actOnJob(action, job.id)}
                isOpen={job.id === openedId}
                onToggle={() => toggleJob(job.id)}
              />
            ))}
          </ul>
        )}
      </Panel>
      <Announcer />
    </div>
  )
}

/** Speaks the newest job's state when it changes; the eye has the list. */
function Announcer() {
  const text = useJobs(({ jobs }) => {
    const latest = jobs?.toSorted((a, b) => b.updatedAt.localeCompare(a.updatedAt))[0]
    return latest === undefined ? '' : `${latest.title}: ${stateWords[latest.state]}`
  })
  return <output className={styles.spoken}>{text}</output>
}
