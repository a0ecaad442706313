import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeTempDir } from '#test/unit/temp-dir.ts'
import { createEventHub } from '#main/api/event-hub.ts'
import type { ApiEvent } from '#main/api/event-hub.ts'
import { createJobs } from '#main/jobs/jobs.ts'
import type { JobOwner } from '#main/jobs/journal.ts'
import { openStore } from '#main/store/store.ts'
import { sampleArray } from '#test/unit/store/samples.ts'
import { followOthers } from './follow-others.ts'

const ours: JobOwner = { pid: process.pid, startedAt: 'now' }
const theirs: JobOwner = { pid: process.pid + 1, startedAt: 'before' }

/** A console that follows, and another process's connection to the same file. */
function twoConsoles() {
  const path = join(makeTempDir(), 'gantry.db')
  const [store, other] = [openStore(path), openStore(path)]
  const dead = new Set<number>()
  const hub = createEventHub()
  const jobs = createJobs({
    journal: store.journal,
    kinds: [],
    owner: ours,
    isAlive: ({ pid }) => !dead.has(pid),
    onEvent: () => undefined,
  })
  const events: ApiEvent[] = []
  let arrived = (): void => undefined
  hub.on((event) => {
    events.push(event)
    arrived()
  })
  const stop = followOthers({ store, jobs }, (name, payload) => hub.emit(name, payload))
  onTestFinished(() => {
    stop()
    store.close()
    other.close()
  })
  /** The events up to the first that fits. */
  const until = async (fits: (event: ApiEvent) => boolean): Promise<string[]> => {
    while (!events.some(fits)) await new Promise<void>((resolve) => (arrived = resolve))
    return events.splice(0, events.findIndex(fits) + 1).map(({ name }) => name)
  }
  const create = (id: string, owner: JobOwner): void =>
    other.journal.create({
      id,
      kind: 'stage',
      title: `Stage ${id}`,
      afterRestart: 'undo',
      plan: {},
      resources: [id],
      steps: [{ id: 'copy', title: 'Copy', target: 'host h', commands: [], undoCommands: [] }],
      owner,
    })
  return { other, create, until, events, dead }
}
const isJob = (state: string) => (event: ApiEvent) =>
  event.name === 'jobs.jobChanged' && event.payload.state === state

test('a job of another process is told as it goes: begun, its steps, log and progress, its end', async () => {
  const { other, create, until } = twoConsoles()
  create('b', theirs)
  expect(await until(isJob('running'))).toEqual(['jobs.jobChanged'])
  other.journal.setStepState('b', 'copy', 'applying')
  other.journal.log('b', { at: '2026-11-20T10:00:00.000Z', stepId: 'copy', text: 'Started' })
  other.journal.saveProgress('b', { fraction: 0.5, stepId: 'copy' })
  const told = await until(({ name }) => name === 'jobs.progressChanged')
  expect(told.filter((name) => name.startsWith('jobs.'))).toEqual([
    'jobs.stepChanged',
    'jobs.logAdded',
    'jobs.progressChanged',
  ])
  other.journal.setJobState('b', 'done')
  expect(await until(isJob('done'))).toContain('jobs.jobChanged')
})

test('one that has begun and ended between two looks is told too', async () => {
  const { other, create, until } = twoConsoles()
  create('b', theirs)
  other.journal.setJobState('b', 'undone')
  await until(isJob('undone'))
})

test('one whose console dies without a word shows as interrupted', async () => {
  const { create, until, dead } = twoConsoles()
  create('b', theirs)
  await until(isJob('running'))
  dead.add(theirs.pid)
  await until(isJob('interrupted'))
})

test('jobs of this process are left to themselves; what no job explains changes the inventory', async () => {
  const { other, create, until } = twoConsoles()
  create('a', ours)
  other.arrays.put(sampleArray())
  expect(await until(({ name }) => name === 'inventory.inventoryChanged')).toEqual([
    'inventory.inventoryChanged',
  ])
})
