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

const sharingPromises: readonly Promised[] = [
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

const fullCopyPromises: readonly Promised[] = [
  {
    name: 'a full copy has the bytes of its container with its holes, and each is written without the other (B19)',
    async keep(scratch) {
      const { driver, signal } = scratch
      const container = await scratch.create(scratch.ref(), 32 * MiB)
      await scratch.bench.writeObject(container, 5 * MiB + 4096, randomBytes(MiB))
      const before = await scratch.run(driver.hashObject(container))
      const copy = await scratch.copyInFull(container)
      if (copy === undefined) return
      expect(await scratch.run(driver.hashObject(copy))).toBe(before)
      const facts = await driver.findObject(copy, signal)
      expect(facts).toMatchObject({ ...copy, sizeBytes: 32 * MiB, mark: scratch.job })
      expect(facts?.allocatedBytes).toBeLessThan(3 * MiB)
      await scratch.bench.writeObject(copy, 0, randomBytes(MiB))
      expect(await scratch.run(driver.hashObject(container))).toBe(before)
    },
  },
  {
    name: 'a full copy refuses a taken name, and a container that is under a LUN (busy); again it succeeds',
    async keep(scratch) {
      const { driver } = scratch
      if (driver.copyObject === undefined) return
      const container = await filled(scratch)
      const copy = await scratch.copyInFull(container)
      if (copy === undefined) return
      await scratch.run(driver.copyObject({ from: container, to: copy, mark: scratch.job }))
      const taken = driver.copyObject({ from: container, to: copy, mark: 'job-other' })
      expect((await failureOf(scratch.run(taken))).code).toBe('busy')
      await scratch.createLun(scratch.lunOf(container))
      expect((await failureOf(scratch.copyInFull(container))).code).toBe('busy')
    },
  },
  {
    name: 'a full copy of what is not there is not-found, one that is cancelled is cancelled; both leave nothing',
    async keep(scratch) {
      const { driver, signal } = scratch
      if (driver.copyObject === undefined) return
      const to = scratch.ref('clone')
      const copy = (from = scratch.ref()) => driver.copyObject?.({ from, to, mark: scratch.job })
      const missing = copy()?.run({ signal }) ?? Promise.resolve()
      expect((await failureOf(missing)).code).toBe('not-found')
      const container = await filled(scratch)
      const stop = new AbortController()
      const cancelled = copy(container)?.run({ signal: stop.signal, report: () => stop.abort() })
      expect((await failureOf(cancelled ?? Promise.resolve())).code).toBe('cancelled')
      expect(await driver.findObject(to, signal)).toBeUndefined()
    },
  },
]

const nothingToShare: Promised = {
  name: 'where blocks cannot be shared, snapshots and clones are not-supported and leave nothing',
  async keep(scratch) {
    if (scratch.bench.sharesBlocks) return
    const container = await filled(scratch)
    for (const kind of ['snapshot', 'clone'] as const) {
      expect((await failureOf(scratch.copy(container, kind))).code).toBe('not-supported')
      const left = await scratch.driver.listObjects(container.volume, scratch.signal)
      expect(left.filter((object) => object.kind === kind)).toEqual([])
    }
  },
}

export const copyPromises: readonly Promised[] = [
  ...sharingPromises.map((promised) => ({
    ...promised,
    keep: async (scratch: Scratch) => {
      if (scratch.bench.sharesBlocks) await promised.keep(scratch)
    },
  })),
  nothingToShare,
  ...fullCopyPromises,
]
