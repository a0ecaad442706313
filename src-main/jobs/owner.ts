import { readFileSync } from 'node:fs'
import type { JobOwner } from './journal.ts'

/**
 * This process as the owner of jobs. On Linux `startedAt` is "<boot id>/<start in clock ticks>", which no later
 * process with the same pid has, not even after a reboot; elsewhere it is the time of its start.
 */
export function currentOwner(): JobOwner {
  const startedAt = process.platform === 'linux' ? linuxStart(process.pid) : undefined
  return { pid: process.pid, startedAt: startedAt ?? processStart }
}

/**
 * Whether the process that owns a job still runs. When in doubt it does: a job that is taken from a living console
 * would be worked on by two. Processes are told apart only inside one computer (and one PID namespace of it).
 */
export function isOwnerAlive(owner: JobOwner): boolean {
  if (process.platform === 'linux') return linuxStart(owner.pid) === owner.startedAt
  if (owner.pid === process.pid) return owner.startedAt === processStart
  try {
    process.kill(owner.pid, 0)
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}

const processStart = new Date(Date.now() - process.uptime() * 1000).toISOString()

/** proc(5): field 3 is the state, field 22 the start time; the name in field 2 may contain anything. */
function linuxStart(pid: number): string | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, ticks] = [fields[0], fields[22 - 3]]
  // A zombie runs nothing any more, it only waits for its parent.
  if (state === undefined || ticks === undefined || state === 'Z' || state === 'X') return undefined
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()}/${ticks}`
}
