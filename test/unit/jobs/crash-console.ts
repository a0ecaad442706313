/**
 * A console that the crash tests kill: "node crash-console.ts <database> <plan as JSON> <kind>". Starts one job with
 * the fail points of the environment and waits for it; prints the state if it lives to see it.
 */
import { currentOwner, isOwnerAlive } from '#main/jobs/owner.ts'
import { createJobs } from '#main/jobs/jobs.ts'
import { openStore } from '#main/store/store.ts'
import { deviceKind } from './fake-device.ts'
import type { DevicePlan } from './fake-device.ts'

const [database = '', plan = '', kind = ''] = process.argv.slice(2)
const store = openStore(database)
const jobs = createJobs({
  journal: store.journal,
  kinds: [deviceKind('make-resume', 'resume'), deviceKind('make-undo', 'undo')],
  owner: currentOwner(),
  isAlive: isOwnerAlive,
  onEvent: () => undefined,
  env: process.env,
})
const { jobId } = jobs.start(kind, JSON.parse(plan) as DevicePlan)
const { state } = await jobs.wait(jobId)
store.close()
process.stdout.write(state)
