import { createHash, randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { MiB } from '#shared/units/bytes.ts'
import { failureOf } from './array-bench.ts'
import type { Promised } from './array-driver.ts'

export const objectPromises: readonly Promised[] = [
  {
    name: 'probe tells who the array is; all checks are good but those of the full volume',
    async keep({ driver, bench, signal }) {
      const { identity, checks } = await driver.probe(signal)
      expect(Object.values(identity).every((value) => value !== '' && value !== 'unknown')).toBe(true)
      const failed = checks.filter((check) => !check.ok)
      expect(failed.filter(({ name }) => !name.endsWith(` ${bench.fullVolume}`))).toEqual([])
      expect(failed.every(({ advice }) => advice !== undefined)).toBe(true)
      expect(checks.length).toBeGreaterThan(0)
    },
  },
  {
    name: 'listVolumes tells space and whether blocks can be shared',
    async keep({ driver, bench, signal }) {
      const volume = (await driver.listVolumes(signal)).find(({ name }) => name === bench.volume)
      expect(volume).toMatchObject({
        canReflink: bench.sharesBlocks,
        lunLimit: driver.config.settings.lunLimitPerVolume,
      })
      expect(volume?.freeBytes).toBeGreaterThan(200 * MiB)
      expect((volume?.usedBytes ?? 0) + (volume?.freeBytes ?? 0)).toBeLessThanOrEqual(volume?.sizeBytes ?? 0)
    },
  },
  {
    name: 'createObject makes a sparse object with the mark, that find and list show (A2)',
    async keep(scratch) {
      const ref = await scratch.create(scratch.ref(), 64 * MiB)
      const found = await scratch.driver.findObject(ref, scratch.signal)
      expect(found).toMatchObject({ ...ref, sizeBytes: 64 * MiB, mark: scratch.job })
      expect(found?.allocatedBytes).toBeLessThan(MiB)
      expect(await scratch.driver.listObjects(ref.volume, scratch.signal)).toContainEqual(
        expect.objectContaining(found),
      )
    },
  },
  {
    name: 'an Action sends nothing before it is run, and tells its commands',
    async keep(scratch) {
      const ref = scratch.ref()
      const action = scratch.driver.createObject({ ...ref, sizeBytes: MiB, mark: scratch.job })
      expect(action.commands.join('\n')).toContain(ref.name)
      expect(await scratch.driver.findObject(ref, scratch.signal)).toBeUndefined()
    },
  },
  {
    name: 'createObject refuses a taken name as busy and leaves what is there as it is',
    async keep(scratch) {
      const ref = await scratch.create()
      await scratch.bench.writeObject(ref, 0, Buffer.from('precious'))
      const again = scratch.driver.createObject({ ...ref, sizeBytes: MiB, mark: 'job-other' })
      expect((await failureOf(scratch.run(again))).code).toBe('busy')
      const found = await scratch.driver.findObject(ref, scratch.signal)
      expect(found).toMatchObject({ sizeBytes: 4 * MiB, mark: scratch.job })
      const start = [{ offset: 0, lengthBytes: 8 }]
      const { parts } = await scratch.driver.readObject(ref, start, scratch.signal)
      expect(Buffer.concat(parts).toString()).toBe('precious')
    },
  },
  {
    name: 'createObject refuses the name of an object that is not ours',
    async keep(scratch) {
      const ref = scratch.ref()
      scratch.cleanUp(() => scratch.bench.removeForeignObject(ref))
      await scratch.bench.placeForeignObject(ref)
      const create = scratch.driver.createObject({ ...ref, sizeBytes: MiB, mark: scratch.job })
      expect((await failureOf(scratch.run(create))).code).toBe('busy')
      expect((await scratch.driver.findObject(ref, scratch.signal))?.mark).toBeUndefined()
    },
  },
  {
    name: 'of two consoles that create the same object at once exactly one wins',
    async keep(scratch) {
      for (let round = 0; round < 10; round++) {
        const ref = scratch.ref()
        const drivers = [scratch.driver, scratch.bench.other]
        const marks = drivers.map((_, index) => `${scratch.job}-${index}`)
        for (const mark of marks) scratch.cleanUp(() => scratch.run(scratch.driver.deleteObject(ref, mark)))
        const ends = await Promise.allSettled(
          drivers.map((driver, index) =>
            scratch.run(
              driver.createObject({ ...ref, sizeBytes: (index + 1) * MiB, mark: marks[index] ?? '' }),
            ),
          ),
        )
        const winner = ends.findIndex((end) => end.status === 'fulfilled')
        const lost = ends.filter((end) => end.status === 'rejected')
        expect(lost).toHaveLength(1)
        expect(lost[0]?.reason).toMatchObject({ code: 'busy' })
        expect(await scratch.driver.findObject(ref, scratch.signal)).toMatchObject({
          mark: marks[winner],
          sizeBytes: (winner + 1) * MiB,
        })
      }
    },
  },
  {
    name: 'createObject of the same job again brings a run that was cut off to its end',
    async keep(scratch) {
      const ref = scratch.ref()
      await scratch.bench.placeMarkOnly(ref, scratch.job)
      await scratch.create(ref)
      await scratch.create(ref)
      expect(await scratch.driver.findObject(ref, scratch.signal)).toMatchObject({
        sizeBytes: 4 * MiB,
        mark: scratch.job,
      })
    },
  },
  {
    name: 'deleteObject removes only what bears the mark, and succeeds when there is nothing',
    async keep(scratch) {
      const ref = await scratch.create()
      await scratch.run(scratch.driver.deleteObject(ref, 'job-other'))
      expect(await scratch.driver.findObject(ref, scratch.signal)).toMatchObject({ mark: scratch.job })
      await scratch.run(scratch.driver.deleteObject(ref, scratch.job))
      expect(await scratch.driver.findObject(ref, scratch.signal)).toBeUndefined()
      await scratch.run(scratch.driver.deleteObject(ref, scratch.job))
    },
  },
  {
    name: 'deleteObject leaves an object without a mark',
    async keep(scratch) {
      const ref = scratch.ref()
      scratch.cleanUp(() => scratch.bench.removeForeignObject(ref))
      await scratch.bench.placeForeignObject(ref)
      await scratch.run(scratch.driver.deleteObject(ref, scratch.job))
      expect(await scratch.driver.findObject(ref, scratch.signal)).toBeDefined()
    },
  },
  {
    name: 'a mark without its object is found with size 0 and removed',
    async keep(scratch) {
      const ref = scratch.ref()
      await scratch.bench.placeMarkOnly(ref, scratch.job)
      expect(await scratch.driver.findObject(ref, scratch.signal)).toMatchObject({
        sizeBytes: 0,
        allocatedBytes: 0,
        mark: scratch.job,
      })
      await scratch.run(scratch.driver.deleteObject(ref, scratch.job))
      expect(await scratch.driver.findObject(ref, scratch.signal)).toBeUndefined()
    },
  },
  {
    name: 'names of 63 characters and names that differ in case serve for objects and LUNs',
    async keep(scratch) {
      const long = `${scratch.ref().name}${'_Long.'.repeat(11)}`.slice(0, 62)
      const [lower, upper] = ['x', 'X'].map((end) => ({ ...scratch.ref(), name: `${long}${end}` }))
      if (lower === undefined || upper === undefined) throw new Error('no names')
      for (const ref of [lower, upper]) await scratch.createLun(scratch.lunOf(await scratch.create(ref)))
      const luns = await scratch.driver.listLuns(scratch.signal)
      expect(luns.map((lun) => lun.backing)).toEqual(expect.arrayContaining([lower, upper]))
    },
  },
  {
    name: 'readObject returns the size and the bytes of ranges, fewer at the end, none behind it (A8)',
    async keep(scratch) {
      const { driver, signal } = scratch
      const ref = await scratch.create(scratch.ref(), 2 * MiB)
      const bytes = randomBytes(3000)
      await scratch.bench.writeObject(ref, 2 * MiB - 3000, bytes)
      const ranges = [
        { offset: 2 * MiB - 3000, lengthBytes: 1000 },
        { offset: 2 * MiB - 1000, lengthBytes: 5000 },
        { offset: 2 * MiB, lengthBytes: 10 },
        { offset: 2 * MiB - 3000, lengthBytes: 1 },
      ]
      const { sizeBytes, parts } = await driver.readObject(ref, ranges, signal)
      expect(sizeBytes).toBe(2 * MiB)
      expect(parts.map((part) => Buffer.from(part))).toEqual([
        bytes.subarray(0, 1000),
        bytes.subarray(2000),
        Buffer.alloc(0),
        bytes.subarray(0, 1),
      ])
      expect((await failureOf(driver.readObject(scratch.ref(), ranges, signal))).code).toBe('not-found')
    },
  },
  {
    name: 'hashObject is the SHA-256 of the whole object',
    async keep(scratch) {
      const ref = await scratch.create(scratch.ref(), 3 * MiB)
      const bytes = randomBytes(MiB)
      await scratch.bench.writeObject(ref, MiB, bytes)
      const whole = Buffer.concat([Buffer.alloc(MiB), bytes, Buffer.alloc(MiB)])
      const expected = createHash('sha256').update(whole).digest('hex')
      expect(await scratch.run(scratch.driver.hashObject(ref))).toBe(expected)
      expect((await failureOf(scratch.run(scratch.driver.hashObject(scratch.ref())))).code).toBe('not-found')
    },
  },
  {
    name: 'a full volume is device-rejected with advice, and nothing stays behind',
    async keep(scratch) {
      const { fullVolume } = scratch.bench
      if (fullVolume === undefined) return
      const ref = scratch.ref('container', fullVolume)
      const { error } = await failureOf(scratch.create(ref))
      expect(error).toMatchObject({ code: 'device-rejected', message: 'The volume is full' })
      expect(error.advice).toBeDefined()
      expect(await scratch.driver.findObject(ref, scratch.signal)).toBeUndefined()
    },
  },
  {
    name: 'an unknown volume is not-found, a size that is not aligned is bad-request',
    async keep(scratch) {
      const { driver, signal } = scratch
      expect((await failureOf(driver.listObjects('nowhere', signal))).code).toBe('not-found')
      expect(() => driver.createObject({ ...scratch.ref(), sizeBytes: MiB + 1, mark: scratch.job })).toThrow(
        /multiple/,
      )
    },
  },
  {
    name: 'a cancelled call ends as cancelled',
    async keep({ driver, bench }) {
      expect((await failureOf(driver.listObjects(bench.volume, AbortSignal.abort()))).code).toBe('cancelled')
    },
  },
]
