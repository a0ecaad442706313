import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MiB } from '#shared/units/bytes.ts'
import { createLinuxStorageArray } from '#main/drivers/arrays/linux-storage/driver.ts'
import { sh } from '#main/transports/shell/script.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import { failureOf, Scratch } from './array-bench.ts'
import { startLinuxStorageBench } from './linux-storage-bench.ts'

let running: Awaited<ReturnType<typeof startLinuxStorageBench>> | undefined
const started = () => {
  if (running === undefined) throw new Error('the bench did not start')
  return { ...running, scratch: new Scratch(running.bench) }
}
beforeAll(async () => {
  running = await startLinuxStorageBench()
})
afterAll(async () => {
  await running?.close()
})

test('without tgtd, LUNs are unreachable, objects are not deleted unasked, and the probe says what to do', async () => {
  const { lab, scratch } = started()
  const { driver, signal } = scratch
  const ref = await scratch.create()
  await lab.stopTarget()
  expect(await failureOf(driver.listLuns(signal))).toMatchObject({ code: 'unreachable' })
  expect(await failureOf(driver.listVolumes(signal))).toMatchObject({ code: 'unreachable' })
  expect(await failureOf(scratch.run(driver.deleteObject(ref, scratch.job)))).toMatchObject({
    code: 'unreachable',
  })
  const { error } = await failureOf(scratch.run(driver.createLun(scratch.lunOf(ref))))
  expect(error).toMatchObject({ code: 'unreachable' })
  expect(error.advice).toContain('Start tgtd')
  const { checks } = await driver.probe(signal)
  const tgtd = checks.find(({ name }) => name === 'tgtd')
  expect(tgtd).toMatchObject({ ok: false })
  expect(tgtd?.advice).toContain('Start tgtd')
  await lab.restartTarget()
  expect(await driver.findObject(ref, signal)).toBeDefined()
  await scratch.close()
})

test('a user who is not root is auth-failed, and the probe says so', async () => {
  const { lab, scratch } = started()
  const nobody: Shell = {
    name: 'array lab-array',
    run: (script, options) =>
      lab.shell.run(
        sh`cd / && exec setpriv --reuid=65534 --regid=65534 --clear-groups /bin/sh -c ${script}`,
        options,
      ),
  }
  const driver = createLinuxStorageArray(lab.config, nobody)
  expect(await failureOf(driver.listLuns(scratch.signal))).toMatchObject({ code: 'auth-failed' })
  const { checks } = await driver.probe(scratch.signal)
  expect(checks.find(({ name }) => name === 'root')).toMatchObject({ ok: false })
})

test('a volume that is not mounted is not-found; one that cannot share blocks is not-supported for copies alone', async () => {
  const { lab, scratch } = started()
  const memory = mkdtempSync(join('/dev/shm', 'gantry-array-'))
  try {
    const volumes = { gone: join(tmpdir(), 'gantry-no-such-volume'), memory }
    const config = { ...lab.config, settings: { ...lab.config.settings, volumes } }
    const driver = createLinuxStorageArray(config, lab.shell)
    const gone = { ...scratch.ref(), volume: 'gone' }
    const create = driver.createObject({ ...gone, sizeBytes: MiB, mark: scratch.job })
    expect(await failureOf(scratch.run(create))).toMatchObject({ code: 'not-found' })
    expect(await failureOf(driver.findObject(gone, scratch.signal))).toMatchObject({ code: 'not-found' })
    expect(await failureOf(scratch.run(driver.deleteObject(gone, scratch.job)))).toMatchObject({
      code: 'not-found',
    })

    const [from, to] = [scratch.ref(), scratch.ref('clone')].map((ref) => ({ ...ref, volume: 'memory' }))
    if (from === undefined || to === undefined) throw new Error('no names')
    await scratch.run(driver.createObject({ ...from, sizeBytes: MiB, mark: scratch.job }))
    const clone = driver.cloneObject?.({ from, to, mark: scratch.job })
    if (clone === undefined) throw new Error('no clones')
    expect(await failureOf(scratch.run(clone))).toMatchObject({ code: 'not-supported' })
    expect(await driver.findObject(to, scratch.signal)).toBeUndefined()
    const { checks } = await driver.probe(scratch.signal)
    const failed = checks.filter(({ ok }) => !ok).map(({ name }) => name)
    expect(failed).toEqual(['volume gone', 'reflink gone', 'reflink memory'])
  } finally {
    rmSync(memory, { recursive: true })
  }
})

test('a LUN from a snapshot cannot be written by its host', async () => {
  const { lab, scratch } = started()
  const host = 'iqn.2026-11.gantry.test:host-a'
  const snapshot = await scratch.copy(await scratch.create(), 'snapshot')
  const before = await scratch.run(scratch.driver.hashObject(snapshot))
  const lun = await scratch.createLun(scratch.lunOf(snapshot))
  await scratch.run(scratch.driver.mapLun(lun, host))
  const { portal, target } = scratch.driver.addressOf(lun)
  const image = `driver=iscsi,transport=tcp,portal=${portal},target=${target},lun=1,initiator-name=${host}`
  const write = lab.exec(sh`qemu-io -c 'write -P 7 0 4096' --image-opts ${image} 2>&1`)
  await expect(write).rejects.toThrow()
  expect(await scratch.run(scratch.driver.hashObject(snapshot))).toBe(before)
  await scratch.close()
})
