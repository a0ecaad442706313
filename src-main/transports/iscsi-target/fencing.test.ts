import { write } from 'node:fs'
import type * as fs from 'node:fs'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { labInitiator } from '#test/support/raw-initiator.ts'
import type { RawInitiator } from '#test/support/raw-initiator.ts'
import { iqnOf, TargetBench } from '#test/support/target-bench.ts'

// A disk that takes its time: a call of the thread pool that the test lets go.
vi.mock('node:fs', async (original) => {
  const actual = await original<typeof fs>()
  return { ...actual, write: vi.fn(actual.write) }
})

const owner = 'iqn.2026-11.lab.host:owner'
const preemptAndAbort = 5

let bench: TargetBench
let letGo: () => void
let isHeld: Promise<void>
beforeEach(async () => {
  bench = await TargetBench.start()
  await bench.addLun('web', { initiators: [labInitiator, owner] })
  const actual = vi.mocked(write).getMockImplementation()
  const held = Promise.withResolvers<void>()
  isHeld = held.promise
  vi.mocked(write).mockImplementationOnce((...call: Parameters<typeof write>) => {
    letGo = () => actual?.(...call)
    held.resolve()
  })
})
afterEach(() => bench.close())

/** A write of the initiator that stays with the disk until it is let go. */
async function startHeldWrite(session: RawInitiator): Promise<number> {
  const same = { kind: 'write-same', length: 10, lba: 0, blocks: 1 } as const
  const tag = session.start(same, { out: Buffer.alloc(512, 7) })
  await isHeld
  return tag
}

const keys = (own: number, action: number): Buffer => {
  const list = Buffer.alloc(24)
  list.writeBigUInt64BE(BigInt(own), 0)
  list.writeBigUInt64BE(BigInt(action), 8)
  return list
}
const reserve = (serviceAction: 0 | 1 | 5) =>
  ({ kind: 'persistent-reserve-out', serviceAction, type: 1, parameterLength: 24 }) as const

/** The tags of the next two answers, in the order in which they come. */
async function nextTwo(session: RawInitiator, afterFirst: () => void): Promise<unknown[]> {
  const tags = []
  for (let count = 0; count < 2; count++) {
    const pdu = (await session.next())?.pdu
    tags.push(pdu !== undefined && 'initiatorTaskTag' in pdu ? pdu.initiatorTaskTag : pdu)
    if (count === 0) afterFirst()
  }
  return tags
}

test.each([
  ['its session lives', async () => undefined],
  [
    'its connection is gone',
    async (victim: RawInitiator) => {
      victim.close()
    },
  ],
  [
    'it has aborted the write itself',
    async (victim: RawInitiator, tag: number) => {
      void victim.manage(1, tag).catch(() => undefined)
      await victim.settle()
    },
  ],
])('PREEMPT AND ABORT is answered when the writes of the victim have stopped: %s', async (_, before) => {
  const victim = await bench.login('web')
  const session = await bench.login('web', { initiator: owner })
  await victim.command(reserve(0), { out: keys(0, 1) })
  await session.command(reserve(0), { out: keys(0, 2) })
  await victim.command(reserve(1), { out: keys(1, 0) })
  const tag = await startHeldWrite(victim)
  await before(victim, tag)
  const preempt = session.start(reserve(preemptAndAbort), { out: keys(2, 1) })
  const ready = session.start({ kind: 'test-unit-ready' })
  expect(await nextTwo(session, () => letGo())).toEqual([ready, preempt])
})

test.each([
  ['it is logged in', () => undefined],
  ['its connection is gone', (session: RawInitiator) => session.close()],
])('a login takes the place of an older session when its writes have stopped: %s', async (_, before) => {
  const older = await bench.login('web')
  const other = await bench.login('web', { initiator: owner })
  await startHeldWrite(older)
  before(older)
  const events: string[] = []
  // The second takes the place of the first before that has been answered.
  const logins = [1, 2].map(() =>
    bench.login('web').then(
      () => events.push('logged in'),
      () => undefined,
    ),
  )
  await older.hungUp()
  for (let turns = 0; turns < 20; turns++) await other.settle()
  events.push('the write has stopped')
  letGo()
  await Promise.all(logins)
  expect(events).toEqual(['the write has stopped', 'logged in'])
  expect(bench.target.findLun(iqnOf('web'))?.sessions).toHaveLength(2)
})
