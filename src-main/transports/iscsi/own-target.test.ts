import { createHash, randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { MiB } from '#shared/units/bytes.ts'
import { labInitiator } from '#test/support/raw-initiator.ts'
import { iqnOf, TargetBench } from '#test/support/target-bench.ts'
import { createIscsiInitiator } from './initiator.ts'
import type { OpenLun } from './initiator.ts'
import type { IscsiDevice } from './iscsi-device.ts'

/** Our initiator with our target: what tgt does not have. */
const signal = new AbortController().signal
const initiator = createIscsiInitiator(labInitiator)
const secrets = {
  initiator: { name: 'esx1', secret: 'secret-of-the-host' },
  target: { name: 'array', secret: 'secret-of-the-array' },
}
let bench: TargetBench
const opened: IscsiDevice[] = []

beforeEach(async () => {
  bench = await TargetBench.start()
})
afterEach(async () => {
  for (const device of opened.splice(0)) await device.close()
  await bench.close()
})
afterAll(() => initiator.close())

const failed = (code: string, effect = 'none'): Error => expect.objectContaining({ code, effect }) as Error

async function open(name: string, way: Partial<OpenLun> = {}): Promise<IscsiDevice> {
  const portal = `127.0.0.1:${bench.port}`
  const device = await initiator.open({ portal, target: iqnOf(name), lun: 1, ...way }, signal)
  opened.push(device)
  return device
}

test.each([
  ['plain', {}],
  ['with digests', { headerDigest: ['CRC32C'], dataDigest: ['CRC32C'] }],
] as const)('%s: data of any size is where it belongs', async (_, digests) => {
  await bench.addLun('web')
  const device = await open('web', digests)
  const content = randomBytes(Math.min(device.sizeBytes, 6 * MiB))
  let offset = 0
  const writes: Promise<void>[] = []
  for (let blocks = 1; offset < content.length; blocks = blocks * 2 + 1) {
    const part = content.subarray(offset, Math.min(content.length, offset + blocks * 512))
    writes.push(device.write(offset, part, signal))
    offset += part.length
  }
  await Promise.all(writes)
  await device.flush(signal)
  expect(await device.hash(0, content.length, { signal })).toBe(
    createHash('sha256').update(content).digest('hex'),
  )
})

test('blocks are given back, read as zeros and are told of as not there', async () => {
  await bench.addLun('web')
  const device = await open('web')
  await device.write(0, new Uint8Array(MiB).fill(1), signal)
  await device.unmap?.(64 * 1024, 128 * 1024, signal)
  expect(await device.read(64 * 1024, 128 * 1024, signal)).toEqual(new Uint8Array(128 * 1024))
  expect(await device.getLbaStatus(0, MiB, signal)).toEqual([
    { lba: 0, blocks: 128, state: 'mapped' },
    { lba: 128, blocks: 256, state: 'deallocated' },
    { lba: 384, blocks: 1664, state: 'mapped' },
  ])
})

test('compare and write changes only what is as expected, also when two race', async () => {
  await bench.addLun('web')
  const first = await open('web')
  const second = await open('web')
  const zero = new Uint8Array(512)
  const [a, b] = await Promise.all([
    first.compareAndWrite?.(512, zero, new Uint8Array(512).fill(1), signal),
    second.compareAndWrite?.(512, zero, new Uint8Array(512).fill(2), signal),
  ])
  expect(a).toBe(b === false)
  expect(await first.read(512, 512, signal)).toEqual(new Uint8Array(512).fill(a === true ? 1 : 2))
})

test('the same block is written all over a range', async () => {
  await bench.addLun('web')
  const device = await open('web')
  await device.writeSame(4096, MiB, new Uint8Array(512).fill(6), signal)
  expect(await device.read(4096, MiB, signal)).toEqual(new Uint8Array(MiB).fill(6))
  expect(await device.read(0, 4096, signal)).toEqual(new Uint8Array(4096))
})

test('extended copy: the target moves the blocks, in as many commands as its limits ask for', async () => {
  await bench.addLun('web', { sizeBytes: 80 * MiB })
  const device = await open('web')
  // longer than a segment may be; the ends and the seam between two commands are what could go wrong
  const lengthBytes = 36 * MiB
  const seam = 0xffff * 512
  for (const at of [0, seam - 4096, lengthBytes - 4096]) await device.write(at, randomBytes(8192), signal)
  const hashAt = (offset: number): Promise<string> => device.hash(offset, lengthBytes, { signal })
  const before = await hashAt(0)
  await device.copy?.(0, 40 * MiB, lengthBytes, signal)
  expect(await hashAt(40 * MiB)).toBe(before)
  expect(await hashAt(0)).toBe(before)
  await expect(device.copy?.(0, MiB, 2 * MiB, signal)).rejects.toThrow(failed('bad-request'))
  await expect(device.copy?.(0, 79 * MiB, 2 * MiB, signal)).rejects.toThrow(failed('bad-request'))
  const reader = await open('web', { readOnly: true })
  expect(reader).not.toHaveProperty('copy')
})

test('a reservation keeps others out, and ends', async () => {
  await bench.addLun('web')
  const ours = await open('web')
  const theirs = await open('web')
  await ours.register(0n, 77n, signal)
  await ours.reserve(77n, 3, signal)
  expect(await theirs.findReservation(signal)).toEqual({ key: 77n, type: 3 })
  await expect(theirs.write(0, new Uint8Array(512), signal)).rejects.toThrow(failed('busy'))
  await ours.release(77n, 3, signal)
  await theirs.write(0, new Uint8Array(512), signal)
})

test('CHAP in both directions, and a wrong secret in either', async () => {
  await bench.addLun('web')
  bench.target.setChap(secrets)
  const right = { credentials: secrets.initiator, targetCredentials: secrets.target }
  await open('web', right)
  for (const wrong of [
    { ...right, credentials: { name: 'esx1', secret: 'another-secret' } },
    { ...right, targetCredentials: { name: 'array', secret: 'another-secret' } },
  ])
    await expect(open('web', wrong)).rejects.toThrow(failed('auth-failed'))
})

test('a LUN that grew or was taken away is stale', async () => {
  await bench.addLun('web')
  await bench.addLun('db')
  const grown = await open('web')
  await bench.target.growLun(iqnOf('web'), grown.sizeBytes * 2)
  await expect(grown.read(0, 512, signal)).rejects.toThrow(failed('stale'))
  const removed = await open('db', { reconnectMs: 0 })
  await bench.target.removeLun(iqnOf('db'), { force: true })
  await expect(removed.read(0, 512, signal)).rejects.toThrow(
    expect.objectContaining({
      code: expect.stringMatching(/not-found|stale|unreachable/) as string,
    }) as Error,
  )
})
