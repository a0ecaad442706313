import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { array, boolean, constant, constantFrom, integer, nat, oneof, record, sample } from 'fast-check'
import type { Arbitrary } from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { RawInitiator } from '#test/support/raw-initiator.ts'
import { iqnOf, TargetBench } from '#test/support/target-bench.ts'
import { encodePdu, layouts } from '#main/protocols/iscsi/pdus.ts'
import type { PduKind } from '#main/protocols/iscsi/pdus.ts'
import { paddingOf } from '#main/protocols/iscsi/frame.ts'
import { cdbLayouts } from '#main/protocols/scsi/cdb-layouts.ts'
import { encodeLun } from '#main/protocols/scsi/luns.ts'

/** `GANTRY_FUZZ_RUNS=1000000 npm run test:unit -- hostile` for a long run. */
const runs = Number(process.env['GANTRY_FUZZ_RUNS'] ?? 20_000)
const MiB = 1024 * 1024
/** Fills the LUN that the hostile initiator may not see. */
const secret = Buffer.from('never-for-others')

let bench: TargetBench
beforeEach(async () => {
  bench = await TargetBench.start()
})
afterEach(async () => {
  vi.useRealTimers()
  await bench.close()
})

const requests: readonly PduKind[] = [
  'nopOut',
  'scsiCommand',
  'scsiCommand',
  'scsiCommand',
  'taskManagementRequest',
  'dataOut',
  'dataOut',
  'snackRequest',
  'scsiResponse',
]
/** End the session: seldom, or nothing else would ever happen. */
const endings: readonly PduKind[] = ['logoutRequest', 'loginRequest', 'textRequest']

const hostilePdu = record({
  kind: oneof(
    { weight: 60, arbitrary: constantFrom(...requests) },
    { weight: 1, arbitrary: constantFrom(...endings) },
  ),
  layout: oneof(
    constantFrom(...cdbLayouts),
    constantFrom(...cdbLayouts.filter(({ kind }) => kind === 'read' || kind === 'write')),
  ),
  // Mostly small: an address beyond the end is refused before anything happens.
  numbers: array(constantFrom(0, 0, 0, 0, 0, 0, 0, 0, 1, 8, 0x40, 0xff), { minLength: 12, maxLength: 12 }),
  flips: oneof(
    { weight: 9, arbitrary: constant([]) },
    { weight: 1, arbitrary: array(record({ at: nat(47), value: nat(0xff) }), { maxLength: 3 }) },
  ),
  /** 0: another LUN; 1: a wrong CmdSN. */
  isInOrder: integer({ min: 0, max: 99 }),
  tag: nat(1000),
  length: oneof(
    { weight: 60, arbitrary: constantFrom(0, 0, 0, 0, 4, 24, 512, 513, 4096, 60_000) },
    { weight: 1, arbitrary: constant(200_000) },
  ),
  expected: constantFrom(0, 1, 512, 4096, 65_536, 16 * MiB, 0xffffffff),
  immediate: boolean(),
  final: boolean(),
})
type HostilePdu = typeof hostilePdu extends Arbitrary<infer Value> ? Value : never

/** A cold reset that the last session asked for logs out the next one, too: then once more. */
async function logIn(): Promise<RawInitiator> {
  for (let attempt = 1; ; attempt++) {
    const raw = await RawInitiator.login({
      port: bench.port,
      target: iqnOf('open'),
      wishes: { initialR2T: false, maxOutstandingR2T: 4 },
    })
    try {
      await raw.settle()
      return raw
    } catch (error) {
      if (attempt === 3) throw error
    }
  }
}

/** Bytes of a PDU that is nearly right: the fields are of their kind, some bits are not. */
function bytesOf(pdu: HostilePdu, raw: RawInitiator): Buffer {
  const { kind, layout, numbers, flips, isInOrder, tag, length, expected, immediate, final } = pdu
  const cdb = Buffer.from([layout.opcode, ...numbers, 0, 0, 0])
  if (layout.serviceAction !== undefined) cdb[1] = ((cdb[1] ?? 0) & 0xe0) | layout.serviceAction
  const isCounted =
    !immediate && ['scsiCommand', 'taskManagementRequest', 'textRequest', 'nopOut'].includes(kind)
  const fields: Record<string, unknown> = {
    immediate,
    final: final || kind !== 'scsiCommand',
    read: length === 0,
    write: length > 0,
    lun: encodeLun(isInOrder === 0 ? tag : 1),
    attribute: 1,
    targetTransferTag: kind === 'dataOut' ? tag % 8 : 0xffffffff,
    initiatorTaskTag: tag,
    expectedDataTransferLength: Math.max(expected, length),
    cmdSn: isInOrder === 1 ? raw.cmdSn + tag : raw.cmdSn,
    taskFunction: tag % 10,
    referencedTaskTag: tag,
    cdb,
  }
  const known = Object.entries(fields).filter(([name]) => name in layouts[kind])
  const header = encodePdu(kind, Object.fromEntries(known))
  if (isCounted && isInOrder !== 1) raw.cmdSn++
  header.writeUIntBE(length, 5, 3)
  for (const { at, value } of flips) if (at !== 4 && (at < 5 || at > 7)) header[at] = value
  return Buffer.concat([header, Buffer.alloc(length + paddingOf(length), tag)])
}

test(
  'random and mutated PDUs reach neither memory nor other LUNs, and nobody else notices',
  { timeout: 60_000 + runs },
  async () => {
    const hidden = await bench.addLun('hidden', {
      sizeBytes: MiB,
      initiators: ['iqn.2026-11.lab.host:owner'],
    })
    await bench.target.removeLun(iqnOf('hidden'))
    const content = Buffer.alloc(MiB, secret)
    writeFileSync(hidden.path, content)
    await bench.target.addLun(hidden)
    await bench.addLun('open')
    const owner = await bench.login('hidden', { initiator: 'iqn.2026-11.lab.host:owner' })
    let leaked = false
    const counts: Partial<Record<PduKind, number>> = {}
    let mostBytes = 0
    let sent = 0
    const before = process.memoryUsage().rss

    while (sent < runs) {
      const raw = await logIn()
      raw.socket.on('data', (bytes: Buffer) => {
        leaked ||= bytes.includes(secret)
      })
      for (const pdu of sample(hostilePdu, { seed: sent, numRuns: 60 })) {
        if (raw.socket.destroyed) break
        raw.socket.write(bytesOf(pdu, raw))
        sent++
      }
      // Whatever was still good has been answered when the last ping is, or the target has hung up.
      raw.send(encodePdu('nopOut', { immediate: true, initiatorTaskTag: 5000 }))
      for (let received = await raw.next(); received !== undefined; received = await raw.next()) {
        counts[received.pdu.kind] = (counts[received.pdu.kind] ?? 0) + 1
        if (received.pdu.kind === 'nopIn' && received.pdu.initiatorTaskTag === 5000) break
      }
      // The owner's data pass through the same memory all the time.
      const read = await owner.command({ kind: 'read', length: 10, lba: 0, blocks: 128 }, { inBytes: 65_536 })
      if (!read.data.equals(content.subarray(0, 65_536)))
        throw new Error(`the owner reads other bytes: ${read.sense}`)
      await turn()
      mostBytes = Math.max(mostBytes, process.memoryUsage().rss)
      raw.close()
    }
    expect(leaked).toBe(false)
    // It got through to the disk, and was not merely turned away.
    for (const kind of [
      'dataIn',
      'scsiResponse',
      'readyToTransfer',
      'taskManagementResponse',
      'reject',
    ] as const)
      expect(counts[kind], kind).toBeGreaterThan(runs / 5000)
    expect(readFileSync(hidden.path).equals(content)).toBe(true)
    expect(bench.troubles).toEqual([])
    expect(mostBytes - before).toBeLessThan(400 * MiB)
    expect((await (await bench.login('open')).command({ kind: 'test-unit-ready' })).status).toBe(0)
  },
)

test('random bytes instead of a login end the connection', async () => {
  await bench.addLun('open')
  for (const bytes of sample(array(nat(0xff), { minLength: 48, maxLength: 400 }), {
    seed: 1,
    numRuns: 300,
  })) {
    const raw = await RawInitiator.connect(bench.port)
    raw.socket.end(Buffer.from(bytes))
    await raw.hungUp()
  }
  await bench.login('open')
  expect(bench.troubles).toEqual([])
})

test.each([
  ['before the login', false],
  ['in a session', true],
])('a data segment of 16 MiB is refused by its header: %s', async (_, isLoggedIn) => {
  await bench.addLun('open')
  const raw = isLoggedIn ? await bench.login('open') : await RawInitiator.connect(bench.port)
  const header = encodePdu(isLoggedIn ? 'nopOut' : 'loginRequest', {})
  header.writeUIntBE(0xffffff, 5, 3)
  raw.sendRaw(header)
  expect(await raw.hungUp()).toBe(true)
})

test('thousands of logins that never go on are let go, and one that does gets in', async () => {
  await bench.addLun('open')
  const raws: RawInitiator[] = []
  for (let round = 0; round < 20; round++) {
    raws.push(...(await Promise.all(Array.from({ length: 100 }, () => RawInitiator.connect(bench.port)))))
    for (const raw of raws.slice(-100))
      raw.sendRaw(encodePdu('loginRequest', { versionMin: 0 }).subarray(0, 47))
  }
  const session = await bench.login('open')
  expect((await session.command({ kind: 'test-unit-ready' })).status).toBe(0)
  expect(raws.filter(({ socket }) => !socket.destroyed).length).toBeLessThan(200)
  for (const raw of raws) raw.close()
})

test('a login that takes too long is ended', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const raw = await RawInitiator.connect(bench.port)
  // An answer means that the target has the connection.
  raw.sendRaw(encodePdu('loginRequest', { currentStage: 1 }), Buffer.alloc(0))
  await raw.next()
  const idle = await RawInitiator.connect(bench.port)
  await turn()
  await turn()
  vi.advanceTimersByTime(15_000)
  expect(await idle.hungUp()).toBe(true)
})

test('discovery sessions, for which nobody proves anything, give way to new connections', async () => {
  await bench.addLun('open')
  const session = await bench.login('open')
  const raws: RawInitiator[] = []
  for (let count = 0; count < 200; count++) raws.push(await RawInitiator.login({ port: bench.port }))
  for (const raw of raws.slice(0, 72)) expect(await raw.hungUp()).toBe(true)
  expect(await raws.at(-1)?.sendTargets()).toContain(iqnOf('open'))
  expect((await session.command({ kind: 'test-unit-ready' })).status).toBe(0)
  for (const raw of raws) raw.close()
})

test('a discovery session in which nothing is asked for 30 s is ended', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  await bench.addLun('open')
  const raw = await RawInitiator.login({ port: bench.port })
  const session = await bench.login('open')
  for (let round = 0; round < 3; round++) {
    vi.advanceTimersByTime(29_999)
    expect(await raw.sendTargets()).toContain(iqnOf('open'))
  }
  vi.advanceTimersByTime(30_000)
  expect(await raw.hungUp()).toBe(true)
  expect((await session.command({ kind: 'test-unit-ready' })).status).toBe(0)
})

test('a session that sends and never reads is not read any more', async () => {
  await bench.addLun('open')
  const raw = await bench.login('open')
  raw.socket.pause()
  const ping = encodePdu('nopOut', { immediate: true, initiatorTaskTag: 7 })
  ping.writeUIntBE(65_536, 5, 3)
  const bytes = Buffer.concat([ping, Buffer.alloc(65_536)])
  const before = process.memoryUsage().rss
  let isStuck = false
  for (let sent = 0; sent < 200 * MiB && !isStuck; sent += bytes.length)
    if (!raw.socket.write(bytes))
      isStuck = !(await Promise.race([once(raw.socket, 'drain').then(() => true), waits()]))
  expect(isStuck).toBe(true)
  expect(process.memoryUsage().rss - before).toBeLessThan(150 * MiB)
})

const waits = async (): Promise<boolean> => {
  for (let turns = 0; turns < 2000; turns++) await turn()
  return false
}
