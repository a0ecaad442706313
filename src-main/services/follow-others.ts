import type { EventName, EventPayload } from '#shared/contract/index.ts'
import type { JobDetails, JobState } from '#shared/domain/job.ts'
import type { ServiceContext } from './context.ts'

/** As often as a running job saves its progress. */
const lookMs = 500

type Emit = <Name extends EventName>(name: Name, payload: EventPayload<Name>) => void

const endedStates: ReadonlySet<JobState> = new Set(['done', 'undone', 'closed'])
const isMoving = ({ state }: JobDetails): boolean => state === 'running' || state === 'undoing'

/**
 * Tells what other processes do with the same inventory, by the events that jobs of this process have: the command
 * line's jobs are then live in the window. Looks at one number of the database twice a second, and reads only when it
 * has changed or a job is moving (whose console may have died without a word). Returns the function that ends it.
 */
export function followOthers(
  { store, jobs }: Pick<ServiceContext, 'store' | 'jobs'>,
  emit: Emit,
): () => void {
  let version = store.dataVersion()
  let newest = store.journal.listAfter('').at(-1) ?? ''
  const isOurs = (id: string): boolean => store.journal.get(id).owner.pid === process.pid
  const open = new Map(store.journal.listOpen().map(({ id }) => [id, jobs.get(id)]))

  function look(): void {
    const seen = store.dataVersion()
    const hasChanged = seen !== version
    if (!hasChanged && ![...open.values()].some(isMoving)) return
    const ids = new Set([
      ...open.keys(),
      ...store.journal.listOpen().map(({ id }) => id),
      ...store.journal.listAfter(newest),
    ])
    let told = 0
    for (const id of ids) {
      if (id > newest) newest = id
      if (isOurs(id)) continue // it tells itself
      const job = jobs.get(id)
      told += tellDifference(open.get(id), job, emit)
      if (endedStates.has(job.state)) open.delete(id)
      else open.set(id, job)
    }
    version = seen
    // what no job explains: an array, a host or facts were written
    if (hasChanged && told === 0) emit('inventory.inventoryChanged', {})
  }
  const timer = setInterval(() => {
    try {
      look()
    } catch {
      // The database is busy or cannot be read just now: the next look tells.
    }
  }, lookMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** Returns how many events it was. */
function tellDifference(before: JobDetails | undefined, after: JobDetails, emit: Emit): number {
  let told = 0
  const tell: Emit = (name, payload) => {
    told += 1
    emit(name, payload)
  }
  for (const [index, { id, state }] of after.steps.entries())
    if (state !== (before?.steps[index]?.state ?? 'planned'))
      tell('jobs.stepChanged', { jobId: after.id, stepId: id, state })
  for (const entry of after.log.slice(before?.log.length ?? 0))
    tell('jobs.logAdded', { jobId: after.id, entry })
  const { progress } = after
  if (before?.state !== after.state || before.updatedAt !== after.updatedAt) {
    const { steps: _steps, log: _log, ...job } = after
    tell('jobs.jobChanged', job)
    emit('inventory.inventoryChanged', {})
  } else if (JSON.stringify(before.progress) !== JSON.stringify(progress))
    tell('jobs.progressChanged', { jobId: after.id, progress })
  return told
}
