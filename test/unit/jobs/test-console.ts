import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { JobEvent } from '#main/jobs/events.ts'
import { createJobs } from '#main/jobs/jobs.ts'
import type { Jobs } from '#main/jobs/jobs.ts'
import type { JobOwner, Journal } from '#main/jobs/journal.ts'
import type { JobKind } from '#main/jobs/step.ts'
import { openStore } from '#main/store/store.ts'

export interface TestConsole {
  readonly jobs: Jobs
  readonly journal: Journal
  readonly events: JobEvent[]
  readonly owner: JobOwner
}

export interface TestConsoleOptions {
  readonly kinds: readonly JobKind[]
  readonly isAlive?: (owner: JobOwner) => boolean
  readonly env?: Record<string, string>
  readonly onEvent?: (event: JobEvent) => void
  readonly wrapJournal?: (journal: Journal) => Journal
}

let consoles = 0

/** A console of its own on the database in this directory, with an owner that no other has; closed with the test. */
export function openConsole(dir: string, options: TestConsoleOptions): TestConsole {
  const store = openStore(join(dir, 'gantry.db'))
  onTestFinished(() => store.close())
  const journal = options.wrapJournal?.(store.journal) ?? store.journal
  const events: JobEvent[] = []
  const owner = { pid: 1, startedAt: `console ${++consoles}` }
  const jobs = createJobs({
    journal,
    kinds: options.kinds,
    owner,
    isAlive: options.isAlive ?? (() => true),
    onEvent(event) {
      events.push(event)
      options.onEvent?.(event)
    },
    env: options.env ?? {},
    cancelPollMs: 5,
  })
  return { jobs, journal, events, owner }
}
