import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { KiB, MiB } from '#shared/units/bytes.ts'
import { inspectUnit } from '#main/protocols/unit/inspect-unit.ts'
import { readEnds } from './disk.ts'
import { applyUnitRepair, planUnitRepair } from './repair-unit.ts'
import { verifyDisk } from './unit-disks.ts'
import {
  emptyDevice,
  error,
  failingAt,
  openedUnit,
  plan,
  sha256,
  signal,
  writtenUnit,
} from '#test/support/unit-bench.ts'

describe('repair', () => {
  test('a whole unit needs none', async () => {
    const { device } = await writtenUnit()
    expect(await planUnitRepair(device, signal)).toMatchObject({ problems: [], writes: [], remaining: [] })
  })

  test.each<[string, (image: Buffer) => void]>([
    ['primary table wiped', (image) => image.fill(0, 0, 34 * 512)],
    ['backup table wiped', (image) => image.fill(0, image.length - 33 * 512)],
    ['first header wiped', (image) => image.fill(0, MiB, MiB + 4096)],
    ['second header damaged', (image) => image.fill(0xff, MiB + 512 * KiB + 600, MiB + 512 * KiB + 610)],
    ['primary table and first header', (image) => image.fill(0, 0, MiB + 4096)],
  ])('%s: all is as before, to the byte', async (_, damage) => {
    const bench = await writtenUnit()
    const image = readFileSync(bench.path)
    const damaged = Buffer.from(image)
    damage(damaged)
    writeFileSync(bench.path, damaged)
    const repair = await planUnitRepair(bench.device, signal)
    expect(repair.problems.length).toBeGreaterThan(0)
    expect(readFileSync(bench.path).equals(damaged), 'planning writes nothing').toBe(true)
    await applyUnitRepair(bench.device, repair.digest, signal)
    expect(readFileSync(bench.path).equals(image)).toBe(true)
    await applyUnitRepair(bench.device, repair.digest, signal)
  })

  test('a LUN that has grown', async () => {
    const bench = await writtenUnit()
    await bench.device.close()
    truncateSync(bench.path, plan.sizeBytes + 10 * MiB)
    const device = await openedUnit(bench.path)
    const repair = await planUnitRepair(device, signal)
    expect(repair.problems).toEqual([expect.stringMatching(/has grown/)])
    await applyUnitRepair(device, repair.digest, signal)
    expect(inspectUnit(await readEnds(device, signal))).toMatchObject({ state: 'ok', problems: [] })
    await verifyDisk(device, 0, { signal })
  })

  test('what is no longer what was shown is not done', async () => {
    const bench = await writtenUnit()
    await bench.device.write(0, new Uint8Array(34 * 512), signal)
    const { digest } = await planUnitRepair(bench.device, signal)
    await bench.device.write(MiB, new Uint8Array(4096), signal)
    const before = sha256(readFileSync(bench.path))
    await expect(applyUnitRepair(bench.device, digest, signal)).rejects.toThrow(error('stale'))
    expect(sha256(readFileSync(bench.path))).toBe(before)
  })

  test('without a copy of the header nothing is invented; the table is still repaired', async () => {
    const bench = await writtenUnit()
    await bench.device.write(MiB, new Uint8Array(MiB), signal)
    await expect(planUnitRepair(bench.device, signal)).rejects.toThrow(
      error('device-rejected', /cannot be repaired/),
    )
    await bench.device.write(0, new Uint8Array(34 * 512), signal)
    const repair = await planUnitRepair(bench.device, signal)
    expect(repair.remaining).toEqual([expect.stringMatching(/no header that verifies/)])
    await applyUnitRepair(bench.device, repair.digest, signal)
    expect(inspectUnit(await readEnds(bench.device, signal))).toMatchObject({
      state: 'damaged',
      hasHeaderPartition: true,
    })
  })

  test('a disk that never was a unit is left alone', async () => {
    const { device, path } = await emptyDevice()
    await expect(planUnitRepair(device, signal)).rejects.toThrow(error('not-found'))
    expect(readFileSync(path).every((byte) => byte === 0)).toBe(true)
  })

  test('cut off at any write, a second repair finishes it', async () => {
    for (let failAt = 1; failAt <= 8; failAt++) {
      const bench = await writtenUnit()
      const image = readFileSync(bench.path)
      const damaged = Buffer.from(image)
      damaged.fill(0, 0, MiB + 4096)
      writeFileSync(bench.path, damaged)
      const { digest } = await planUnitRepair(bench.device, signal)
      await applyUnitRepair(failingAt(bench.device, failAt), digest, signal).catch(() => undefined)
      const rest = await planUnitRepair(bench.device, signal)
      await applyUnitRepair(bench.device, rest.digest, signal)
      expect(readFileSync(bench.path).equals(image), `cut off at ${failAt}`).toBe(true)
      await bench.device.close()
    }
  })
})
