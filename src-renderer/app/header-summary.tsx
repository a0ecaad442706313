import { useInventory } from '../features/inventory/inventory-store.ts'
import { countJobs, useJobs } from '../features/jobs/jobs-store.ts'

const plural = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`

/** One sentence on the whole: what is running and what waits for a person. */
export function HeaderSummary({ className }: { className: string | undefined }) {
  const arrays = useInventory((state) => state.inventory?.arrays.length)
  const jobs = useJobs((state) => state.jobs)
  if (arrays === undefined || jobs === undefined) return null
  const { running, stuck } = countJobs(jobs)
  const parts = [
    plural(arrays, 'array', 'arrays'),
    running === 0 ? 'no job running' : plural(running, 'job running', 'jobs running'),
    ...(stuck === 0 ? [] : [plural(stuck, 'job needs you', 'jobs need you')]),
  ]
  return <p className={className}>{parts.join(' · ')}</p>
}
