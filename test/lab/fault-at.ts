import { readFileSync } from 'node:fs'
import { waitFor } from './exec.ts'
import type { CommandResult, GantryCommand } from './gantry-command.ts'

export interface FaultAt {
  /** "kind/step/point" of a fail point, where the command stops until the fault is there. */
  readonly point: string
  /** Gets the id of the process that has stopped. */
  readonly fault: (pid: number) => Promise<void> | void
}

/** State of a process by /proc: T is stopped; undefined: it is gone. */
function stateOf(pid: number): string | undefined {
  try {
    return /^\d+ \(.*\) (\S)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]
  } catch {
    return undefined
  }
}

/** Runs a command that makes a fault meet a certain step: it stops there, the fault is made, it goes on. */
export async function runWithFault(
  gantry: GantryCommand,
  args: readonly string[],
  { point, fault }: FaultAt,
): Promise<CommandResult> {
  const { promise: started, resolve: hasStarted } = Promise.withResolvers<number>()
  const ended = gantry.run(args, { env: { GANTRY_STOP_AT: point }, onStart: hasStarted })
  const pid = await started
  await waitFor(
    `the command to reach ${point}`,
    async () => {
      const state = stateOf(pid)
      if (state === undefined || state === 'Z') {
        const { code, stderr } = await ended
        throw new Error(`It ended with ${code} before ${point}:\n${stderr}`)
      }
      return state === 'T'
    },
    60_000,
  )
  try {
    await fault(pid)
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  return ended
}
