import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { JobOwner, NewJob } from '#main/jobs/journal.ts'
import type { WireError } from '#shared/errors/wire-error.ts'
import { makeTempDir } from '#test/unit/temp-dir.ts'
import { openDatabase } from './database.ts'
import { createJournal, hotQueries, maxLogEntries, maxLogTextLength } from './journal.ts'
import { migrations } from './migrations/index.ts'
import { openStore } from './store.ts'

const owner: JobOwner = { pid: 1, startedAt: 'a' }
const other: JobOwner = { pid: 2, startedAt: 'b' }
const dead = (): boolean => false
const alive = (): boolean => true
const error: WireError = { code: 'timeout', message: 'too late', effect: 'unknown', facts: {}, causes: [] }
const code = (expected: string): unknown => expect.objectContaining({ code: expected })

const step = (id: string): NewJob['steps'][number] => ({
  id,
  title: `make ${id}`,
  target: 'console',
  commands: [`make ${id}`],
  undoCommands: [],
})
const newJob = (id: string, resources: readonly string[] = [id]): NewJob => ({
  id,
  kind: 'test',
  title: `title of ${id}`,
  afterRestart: 'resume',
  plan: { name: id },
  resources,
  steps: [step('one'), step('two')],
  owner,
})

/** Two journals on one database, as two consoles have them, with a clock that ticks at each look. */
function makeJournals() {
  const path = join(makeTempDir(), 'gantry.db')
  let time = Date.parse('2026-11-20T10:00:00Z')
  const now = (): number => (time += 1000)
  const [store, second] = [openStore(path, { now }), openStore(path, { now })]
  onTestFinished(() => {
    store.close()
    second.close()
  })
  return { journal: store.journal, second: second.journal }
}

describe('journal', () => {
  it('has committed when it returns: another console sees every write at once', () => {
    const { journal, second } = makeJournals()
    journal.create(newJob('a'))
    expect(second.get('a')).toEqual({
      id: 'a',
      kind: 'test',
      plan: { name: 'a' },
      state: 'running',
      cancelRequested: false,
      error: undefined,
      owner,
      steps: [
        { id: 'one', state: 'planned', result: undefined },
        { id: 'two', state: 'planned', result: undefined },
      ],
    })
    journal.setStepState('a', 'one', 'applying')
    expect(second.get('a').steps[0]?.state).toBe('applying')
    journal.setStepState('a', 'one', 'done', { device: '/dev/sdb' })
    expect(second.get('a').steps[0]).toEqual({ id: 'one', state: 'done', result: { device: '/dev/sdb' } })
    second.requestCancel('a')
    expect([journal.isCancelRequested('a'), journal.get('a').cancelRequested]).toEqual([true, true])
    journal.setJobState('a', 'undoing', error)
    journal.setJobState('a', 'undone')
    expect(second.get('a')).toMatchObject({ state: 'undone', error })
    expect(second.listOpen()).toEqual([])
  })

  it('keeps a result with done and forgets it with undone', () => {
    const { journal } = makeJournals()
    journal.create(newJob('a'))
    const result = (): unknown => journal.get('a').steps[0]?.result
    journal.setStepState('a', 'one', 'done', null)
    expect(result()).toBeNull()
    journal.setStepState('a', 'one', 'undoing')
    expect(result()).toBeNull()
    journal.setStepState('a', 'one', 'undone')
    expect(result()).toBeUndefined()
  })

  it('gives the details with times, progress and log', () => {
    const { journal } = makeJournals()
    journal.create(newJob('a'))
    journal.setStepState('a', 'one', 'applying')
    journal.log('a', { at: '2026-11-20T10:00:00.000Z', stepId: 'one', text: 'Started' })
    journal.saveProgress('a', { fraction: 0.25, stepId: 'one' })
    journal.setStepState('a', 'one', 'done')
    expect(journal.details('a')).toEqual({
      id: 'a',
      kind: 'test',
      title: 'title of a',
      state: 'running',
      afterRestart: 'resume',
      createdAt: '2026-11-20T10:00:01.000Z',
      updatedAt: '2026-11-20T10:00:01.000Z',
      progress: { fraction: 0.25, stepId: 'one' },
      steps: [
        {
          ...step('one'),
          state: 'done',
          startedAt: '2026-11-20T10:00:02.000Z',
          endedAt: '2026-11-20T10:00:03.000Z',
        },
        { ...step('two'), state: 'planned' },
      ],
      log: [{ at: '2026-11-20T10:00:00.000Z', stepId: 'one', text: 'Started' }],
    })
    expect(journal.summary('a')).toMatchObject({ id: 'a', progress: { fraction: 0.25 } })
  })

  it('lists jobs with the newest first and open ones with the oldest first', () => {
    const { journal } = makeJournals()
    for (const id of ['a', 'b', 'c']) journal.create(newJob(id))
    journal.setJobState('b', 'done')
    expect(journal.list().map(({ id }) => id)).toEqual(['c', 'b', 'a'])
    expect(journal.listOpen()).toEqual([
      { id: 'a', kind: 'test', state: 'running', owner },
      { id: 'c', kind: 'test', state: 'running', owner },
    ])
  })

  it('keeps log texts and logs bounded', () => {
    const path = join(makeTempDir(), 'gantry.db')
    const store = openStore(path)
    onTestFinished(() => store.close())
    const { journal } = store
    journal.create(newJob('a'))
    const at = '2026-11-20T10:00:00.000Z'
    journal.log('a', { at, text: `begin${'x'.repeat(100_000)}end` })
    const [entry] = journal.details('a').log
    expect(entry?.text.length).toBeLessThanOrEqual(maxLogTextLength)
    expect(entry?.text).toMatch(/^beginx+\n\.\.\. \d+ characters \.\.\.\nx+end$/)
    store.transaction(() => {
      for (let index = 0; index < maxLogEntries + 10; index++) journal.log('a', { at, text: String(index) })
    })
    const { log } = journal.details('a')
    expect([log.length, log[0]?.text, log.at(-1)?.text]).toEqual([
      maxLogEntries,
      '10',
      String(maxLogEntries + 9),
    ])
  })

  it('commits states durably after it has written logs and progress less so', () => {
    const connection = openDatabase(join(makeTempDir(), 'gantry.db'), migrations)
    onTestFinished(() => {
      connection.db.close()
    })
    const journal = createJournal(connection, Date.now)
    const synchronous = (): unknown => connection.db.pragma('synchronous', { simple: true })
    journal.create(newJob('a'))
    journal.log('a', { at: '2026-11-20T10:00:00.000Z', text: 'x' })
    journal.saveProgress('a', { fraction: 0 })
    expect(synchronous()).toBe(2)
    expect(() => journal.log('unknown', { at: '2026-11-20T10:00:00.000Z', text: 'x' })).toThrow(
      code('not-found'),
    )
    expect(synchronous()).toBe(2)
  })

  it('throws not-found for what it does not know', () => {
    const { journal } = makeJournals()
    journal.create(newJob('a'))
    for (const use of [
      () => journal.get('x'),
      () => journal.summary('x'),
      () => journal.details('x'),
      () => journal.setJobState('x', 'done'),
      () => journal.setStepState('a', 'x', 'done'),
      () => journal.requestCancel('x'),
      () => journal.isCancelRequested('x'),
      () => journal.takeOver('x', owner, dead, () => 'running'),
    ])
      expect(use).toThrow(code('not-found'))
  })
})

describe('resources', () => {
  it('are held by one open job; the second is told which', () => {
    const { journal, second } = makeJournals()
    journal.create(newJob('a', ['container/x', 'container/y']))
    expect(() => second.create(newJob('b', ['container/z', 'container/y']))).toThrow(
      expect.objectContaining({
        code: 'busy',
        object: 'container/y',
        facts: { job: 'a', title: 'title of a' },
      }),
    )
    // Nothing of the refused job stays.
    expect(() => second.get('b')).toThrow(code('not-found'))
    second.create(newJob('c', ['container/z', 'container/z']))
  })

  it.each(['running', 'undoing', 'interrupted', 'needs-operator'] as const)('stay held while %s', (state) => {
    const { journal } = makeJournals()
    journal.create(newJob('a', ['x']))
    journal.setJobState('a', state)
    expect(() => journal.create(newJob('b', ['x']))).toThrow(code('busy'))
  })

  it.each(['done', 'undone', 'closed'] as const)('are free when %s', (state) => {
    const { journal } = makeJournals()
    journal.create(newJob('a', ['x']))
    journal.setJobState('a', state)
    journal.create(newJob('b', ['x']))
  })
})

describe('taking over', () => {
  it('gives the job to one of two', () => {
    const { journal, second } = makeJournals()
    journal.create(newJob('a'))
    const isAlive = (who: JobOwner): boolean => who.pid !== owner.pid
    expect(journal.takeOver('a', other, isAlive, () => 'undoing')).toMatchObject({
      state: 'undoing',
      owner: other,
    })
    expect(() => second.takeOver('a', { pid: 3, startedAt: 'c' }, isAlive, () => 'running')).toThrow(
      code('busy'),
    )
    expect(journal.get('a')).toMatchObject({ state: 'undoing', owner: other })
  })

  it.each(['running', 'undoing'] as const)('is refused while its owner is alive and it is %s', (state) => {
    const { journal } = makeJournals()
    journal.create(newJob('a'))
    journal.setJobState('a', state)
    expect(() => journal.takeOver('a', other, alive, () => 'running')).toThrow(code('busy'))
  })

  it.each(['interrupted', 'needs-operator'] as const)('needs no dead owner when it is %s', (state) => {
    const { journal } = makeJournals()
    journal.create(newJob('a'))
    journal.setJobState('a', state, error)
    expect(journal.takeOver('a', other, alive, () => 'undoing')).toMatchObject({ error, owner: other })
  })

  it.each(['done', 'undone', 'closed'] as const)('is stale when it is %s', (state) => {
    const { journal } = makeJournals()
    journal.create(newJob('a'))
    journal.setJobState('a', state)
    expect(() => journal.takeOver('a', other, dead, () => 'running')).toThrow(code('stale'))
    expect(() => journal.requestCancel('a')).toThrow(code('stale'))
  })

  it('changes nothing when the choice throws', () => {
    const { journal } = makeJournals()
    journal.create(newJob('a'))
    const before = journal.get('a')
    expect(() =>
      journal.takeOver('a', other, dead, () => {
        throw new Error('no')
      }),
    ).toThrow('no')
    expect(journal.get('a')).toEqual(before)
  })

  it('to run drops the request to cancel and the error; to undo keeps them', () => {
    const { journal } = makeJournals()
    for (const id of ['a', 'b']) {
      journal.create(newJob(id))
      journal.requestCancel(id)
      journal.setJobState(id, 'interrupted', error)
    }
    expect(journal.takeOver('a', other, dead, () => 'running')).toMatchObject({
      cancelRequested: false,
      error: undefined,
    })
    expect(journal.takeOver('b', other, dead, () => 'undoing')).toMatchObject({
      cancelRequested: true,
      error,
    })
  })

  it('to close frees the resources', () => {
    const { journal } = makeJournals()
    journal.create(newJob('a', ['x']))
    journal.setJobState('a', 'needs-operator', error)
    journal.takeOver('a', other, alive, () => 'closed')
    journal.create(newJob('b', ['x']))
  })
})

describe('hot queries', () => {
  it.each(Object.entries(hotQueries))('%s searches by an index and scans no table', (name, sql) => {
    const { db } = openDatabase(join(makeTempDir(), 'gantry.db'), migrations)
    onTestFinished(() => {
      db.close()
    })
    const count = sql.match(/\?/g)?.length ?? 0
    const values = sql.includes('@')
      ? [{ state: 'done', result: null, at: '', jobId: '', stepId: '' }]
      : Array(count).fill('1')
    const plan = db
      .prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`)
      .all(...values)
      .map((row) => row.detail)
    expect(plan.length).toBeGreaterThan(0)
    for (const line of plan)
      expect(line, name).toMatch(/USING (COVERING )?INDEX|USING INTEGER PRIMARY KEY|^SEARCH$/)
    expect(plan.join('\n')).not.toMatch(/TEMP B-TREE/)
  })

  it('would show a scan: the specimen', () => {
    const { db } = openDatabase(join(makeTempDir(), 'gantry.db'), migrations)
    onTestFinished(() => {
      db.close()
    })
    const plan = db
      .prepare<[], { detail: string }>("EXPLAIN QUERY PLAN SELECT * FROM jobs WHERE kind = 'stage'")
      .all()
    expect(plan.map((row) => row.detail).join('\n')).not.toMatch(/USING/)
  })
})
