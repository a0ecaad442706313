import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import type { ObjectRef } from '#shared/domain/storage.ts'
import { MiB } from '#shared/units/bytes.ts'
import { failureOf } from './array-bench.ts'
import type { Scratch } from './array-bench.ts'
import type { Promised } from './array-driver.ts'

async function filled(scratch: Scratch) {
  const ref = await scratch.create()
  await scratch.bench.writeObject(ref, 0, randomBytes(2 * MiB))
  return ref
}

async function uniqueBytesOf(scratch: Scratch, { volume, kind, name }: ObjectRef) {
  const objects = await scratch.driver.listObjects(volume, scratch.signal)
  return objects.find((object) => object.kind === kind && object.name === name)?.uniqueBytes
}

export const copyPromises: readonly Promised[] = [
  {
    name: 'a snapshot has the bytes of its container, shares them, and keeps them when the container changes (A12)',
    async keep(scratch) {
      const { driver, signal } = scratch
      const container = await filled(scratch)
      const before = await scratch.run(driver.hashObject(container))
      const snapshot = await scratch.copy(container, 'snapshot')
      const facts = await driver.findObject(snapshot, signal)
      expect(facts).toMatchObject({ ...snapshot, sizeBytes: 4 * MiB, mark: scratch.job })
      const unique = await uniqueBytesOf(scratch, snapshot)
      if (unique !== undefined) expect(unique).toBeLessThan(64 * 1024)
      await scratch.bench.writeObject(container, 0, randomBytes(MiB))
      expect(await scratch.run(driver.hashObject(snapshot))).toBe(before)
      expect(await scratch.run(driver.hashObject(container))).not.toBe(before)
    },
  },
  {
    name: 'a clone of a snapshot can be written, and the snapshot stays as it was',
    async keep(scratch) {
      const snapshot = await scratch.copy(await filled(scratch), 'snapshot')
      const before = await scratch.run(scratch.driver.hashObject(snapshot))
      const clone = await scratch.copy(snapshot, 'clone')
      expect(await scratch.run(scratch.driver.hashObject(clone))).toBe(before)
      await scratch.bench.writeObject(clone, 0, randomBytes(MiB))
      expect(await scratch.run(scratch.driver.hashObject(snapshot))).toBe(before)
      const unique = await uniqueBytesOf(scratch, clone)
      if (unique !== undefined) expect(unique).toBeGreaterThanOrEqual(MiB)
    },
  },
  {
    name: 'a copy refuses a taken name as busy; again for the same job it succeeds',
    async keep(scratch) {
      const container = await filled(scratch)
      const snapshot = await scratch.copy(container, 'snapshot')
      const again = scratch.driver.snapshotObject?.({ from: container, to: snapshot, mark: 'job-other' })
      const same = scratch.driver.snapshotObject?.({ from: container, to: snapshot, mark: scratch.job })
      if (again === undefined || same === undefined) throw new Error('no snapshots')
      expect((await failureOf(scratch.run(again))).code).toBe('busy')
      await scratch.run(same)
    },
  },
  {
    name: 'a copy of what is not there is not-found and leaves nothing',
    async keep(scratch) {
      const [from, to] = [scratch.ref(), scratch.ref('clone')]
      const copy = scratch.driver.cloneObject?.({ from, to, mark: scratch.job })
      if (copy === undefined) throw new Error('no clones')
      expect((await failureOf(scratch.run(copy))).code).toBe('not-found')
      expect(await scratch.driver.findObject(to, scratch.signal)).toBeUndefined()
    },
  },
]
