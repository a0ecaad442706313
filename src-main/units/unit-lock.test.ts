import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { AppError } from '#shared/errors/app-error.ts'
import { KiB, MiB } from '#shared/units/bytes.ts'
import { inspectUnit } from '#main/protocols/unit/inspect-unit.ts'
import type { BlockDevice } from '#main/transports/block/block-device.ts'
import { readEnds } from './disk.ts'
import { applyUnitRepair, planUnitRepair } from './repair-unit.ts'
import { readLock, releaseLock, takeLock, type LockOwner } from './unit-lock.ts'
import { emptyDevice, error, signal, writtenUnit } from '#test/support/unit-bench.ts'

describe('B13: the lock', () => {
  const bootId = '00112233-4455-4677-8899-aabbccddeeff'
  const [one, two]: [LockOwner, LockOwner] = [
    { owner: 'kvm1', bootId },
    { owner: 'kvm2', bootId },
  ]
  const at = (nowMs: number): { signal: AbortSignal; now: () => number; settleMs: number } => ({
    signal,
    now: () => nowMs,
    settleMs: 0,
  })
  /** As a LUN of an array that has COMPARE AND WRITE. */
  const atomic = (device: BlockDevice): BlockDevice => {
    let last: Promise<unknown> = Promise.resolve()
    return {
      ...device,
      compareAndWrite(offset, expected, bytes) {
        const step = last.then(async () => {
          if (!Buffer.from(await device.read(offset, expected.length, signal)).equals(expected)) return false
          await device.write(offset, bytes, signal)
          return true
        })
        last = step
        return step
      },
    }
  }

  test.each([
    ['atomic', atomic],
    ['read-back', (device: BlockDevice) => device],
  ] as const)('%s: one owner at a time', async (method, wrap) => {
    const device = wrap((await writtenUnit()).device)
    expect(await takeLock(device, one, at(1000))).toEqual({ lock: { ...one, takenAtMs: 1000 }, method })
    expect(await readLock(device, signal)).toEqual({ state: 'held', lock: { ...one, takenAtMs: 1000 } })
    await expect(takeLock(device, two, at(61_000))).rejects.toThrow(
      error('busy', /locked by kvm1, for 1 min 00 s/),
    )
    await expect(releaseLock(device, two, at(61_000))).rejects.toThrow(error('busy', /kvm1/))
    expect((await takeLock(device, one, at(70_000))).lock.takenAtMs).toBe(1000)
    await releaseLock(device, one, at(70_000))
    expect(await readLock(device, signal)).toEqual({ state: 'free' })
    expect((await takeLock(device, two, at(80_000))).lock.owner).toBe('kvm2')
  })

  test('a device that only says that it has COMPARE AND WRITE is locked in the weaker way', async () => {
    const { device } = await writtenUnit()
    const unknown = (): Promise<boolean> => Promise.reject(new AppError('not-supported', 'Invalid opcode'))
    const lying = { ...device, compareAndWrite: unknown }
    expect(await takeLock(lying, one, at(1000))).toMatchObject({ method: 'read-back' })
    expect(await readLock(device, signal)).toMatchObject({ state: 'held' })
    expect(await releaseLock(lying, one, at(1000))).toMatchObject({ method: 'read-back' })
  })

  test('atomic: taken and freed only once it is flushed, also when the first flush failed', async () => {
    const device = atomic((await writtenUnit()).device)
    const failures = [new AppError('unreachable', 'Lost')]
    let flushes = 0
    const failing: BlockDevice = {
      ...device,
      async flush() {
        const failure = failures.pop()
        if (failure !== undefined) throw failure
        await device.flush(signal)
        flushes++
      },
    }
    await expect(takeLock(failing, one, at(1))).rejects.toThrow(error('unreachable'))
    await takeLock(failing, one, at(2))
    expect(flushes).toBe(1)
    await releaseLock(failing, one, at(3))
    expect(flushes).toBe(2)
  })

  test('a lock of an earlier boot of the same host is not its own', async () => {
    const { device } = await writtenUnit()
    await takeLock(device, one, at(1000))
    const rebooted = { ...one, bootId: bootId.replace('00', '11') }
    await expect(takeLock(device, rebooted, at(2000))).rejects.toThrow(error('busy'))
    await releaseLock(device, 'anyone', at(2000))
    await takeLock(device, rebooted, at(3000))
    // a VM whose process was looked for: whichever boot it was
    const vm = { ...at(4000), anyBoot: true }
    await expect(takeLock(device, { ...one, owner: 'kvm2' }, vm)).rejects.toThrow(error('busy'))
    expect(await takeLock(device, one, vm)).toMatchObject({ lock: { ...one, takenAtMs: 4000 } })
    await releaseLock(device, rebooted, vm)
    expect(await readLock(device, signal)).toEqual({ state: 'free' })
  })

  test('who meets a lock is told who has it, since when, and that its process is gone', async () => {
    const { device } = await writtenUnit()
    await takeLock(device, one, at(1000))
    const isGone = ({ owner }: LockOwner): Promise<boolean> => Promise.resolve(owner === 'kvm1')
    await expect(takeLock(device, two, { ...at(2000), isGone })).rejects.toMatchObject({
      facts: { since: '1970-01-01T00:00:01.000Z', 'its process': 'not there any more' },
    })
    await takeLock(device, two, { ...at(3000), breaks: 'anyone' })
    await expect(takeLock(device, one, { ...at(4000), isGone })).rejects.toMatchObject({
      facts: expect.not.objectContaining({ 'its process': expect.anything() }) as unknown,
    })
  })

  test('of two that take it at the same moment, COMPARE AND WRITE lets one', async () => {
    const device = atomic((await writtenUnit()).device)
    // both have read a free record before either writes
    const held: (() => void)[] = []
    const together: BlockDevice = {
      ...device,
      async compareAndWrite(...args) {
        await new Promise<void>((resolve) => {
          held.push(resolve)
          if (held.length === 2) for (const go of held) go()
        })
        return (await device.compareAndWrite?.(...args)) ?? false
      },
    }
    const taken = await Promise.allSettled([takeLock(together, one, at(1)), takeLock(together, two, at(1))])
    const won = taken.filter(({ status }) => status === 'fulfilled')
    expect(won).toHaveLength(1)
    expect(taken.find(({ status }) => status === 'rejected')).toMatchObject({ reason: error('busy') })
  })

  test('the weaker way notices who was faster while it waited', async () => {
    const { device } = await writtenUnit()
    const raced: BlockDevice = {
      ...device,
      async flush() {
        await device.flush(signal)
        // another, who had read the free record too, writes now
        await takeLock(atomic(device), two, at(5)).catch(() => undefined)
        await releaseLock(device, 'anyone', at(5))
        await takeLock(device, two, at(5))
      },
    }
    await expect(takeLock(raced, one, at(5))).rejects.toThrow(error('busy', /locked by kvm2/))
  })

  test('a damaged record is for a person to break', async () => {
    const { device } = await writtenUnit()
    await device.write(MiB + 1020 * KiB, randomBytes(512), signal)
    await expect(takeLock(device, one, at(1))).rejects.toThrow(
      error('device-rejected', /lock of the unit is damaged/),
    )
    await expect(releaseLock(device, one, at(1))).rejects.toThrow(error('device-rejected'))
    await releaseLock(device, 'anyone', at(1))
    await takeLock(device, one, at(2))
  })

  test('the header is as it was after any of it, and repair leaves the lock alone', async () => {
    const { device } = await writtenUnit()
    await takeLock(device, one, at(1000))
    expect(inspectUnit(await readEnds(device, signal))).toMatchObject({ state: 'ok', problems: [] })
    await device.write(MiB + 512 * KiB, new Uint8Array(4096), signal)
    await applyUnitRepair(device, (await planUnitRepair(device, signal)).digest, signal)
    expect(await readLock(device, signal)).toMatchObject({ state: 'held', lock: { owner: 'kvm1' } })
  })

  test('what is no unit is not locked', async () => {
    const { device, path } = await emptyDevice()
    await expect(takeLock(device, one, at(1))).rejects.toThrow(error('not-found'))
    await expect(releaseLock(device, 'anyone', at(1))).rejects.toThrow(error('not-found'))
    expect(readFileSync(path).every((byte) => byte === 0)).toBe(true)
  })
})
