import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { failureOf } from './array-bench.ts'
import type { Scratch } from './array-bench.ts'
import type { Promised } from './array-driver.ts'

const host = 'iqn.2026-11.gantry.test:host-a'

async function lunCount({ driver, bench, signal }: Scratch): Promise<number> {
  const volumes = await driver.listVolumes(signal)
  return volumes.find(({ name }) => name === bench.volume)?.lunCount ?? Number.NaN
}

export const lunPromises: readonly Promised[] = [
  {
    name: 'createLun makes a LUN with the identity and size that was asked for, mapped to nobody (A3)',
    async keep(scratch) {
      const backing = await scratch.create()
      const { osType: _, ...lun } = await scratch.createLun(scratch.lunOf(backing))
      const facts = await scratch.driver.findLun(lun, scratch.signal)
      expect(facts).toMatchObject({
        ...lun,
        sizeBytes: 4 * 1024 * 1024,
        mappedTo: [],
        sessions: [],
        ours: true,
      })
      const listed = await scratch.driver.listLuns(scratch.signal)
      expect(listed.find(({ target }) => target === lun.target)).toMatchObject({
        backing,
        serial: lun.serial,
        ours: true,
      })
      expect(await scratch.canSee(lun, host)).toBeUndefined()
    },
  },
  {
    name: 'two identities for the same name are different, and valid',
    async keep({ driver }) {
      const [a, b] = [driver.newIdentity('Web_1'), driver.newIdentity('Web_1')]
      expect(a.target).not.toBe(b.target)
      expect(a.naa).not.toBe(b.naa)
      expect(a.serial.length).toBeLessThanOrEqual(36)
      expect(a.naa).toMatch(/^6[0-9a-f]{31}$/)
      expect(driver.addressOf(a, 'other:3260')).toEqual({ ...a, portal: 'other:3260' })
    },
  },
  {
    name: 'createLun again for the same identity and object succeeds, with one LUN',
    async keep(scratch) {
      const lun = await scratch.createLun(scratch.lunOf(await scratch.create()))
      const count = await lunCount(scratch)
      await scratch.run(scratch.driver.createLun(lun))
      expect(await lunCount(scratch)).toBe(count)
    },
  },
  {
    name: 'createLun refuses an object that is under another LUN, and one identity for two objects (busy)',
    async keep(scratch) {
      const lun = await scratch.createLun(scratch.lunOf(await scratch.create()))
      const second = scratch.driver.createLun({ ...scratch.lunOf(lun.backing), backing: lun.backing })
      expect((await failureOf(scratch.run(second))).code).toBe('busy')
      const moved = scratch.driver.createLun({ ...lun, backing: await scratch.create() })
      expect((await failureOf(scratch.run(moved))).code).toBe('busy')
    },
  },
  {
    name: 'of two consoles that make a LUN of the same object at once exactly one wins',
    async keep(scratch) {
      for (let round = 0; round < 5; round++) {
        const backing = await scratch.create()
        const specs = [scratch.lunOf(backing), scratch.lunOf(backing)]
        for (const spec of specs) scratch.cleanUp(() => scratch.run(scratch.driver.deleteLun(spec)))
        const ends = await Promise.allSettled(
          specs.map((spec, index) =>
            scratch.run([scratch.driver, scratch.bench.other][index]?.createLun(spec) ?? never()),
          ),
        )
        expect(ends.map((end) => end.status).toSorted()).toEqual(['fulfilled', 'rejected'])
        expect(ends.find((end) => end.status === 'rejected')?.reason).toMatchObject({ code: 'busy' })
        for (const spec of specs) await scratch.run(scratch.driver.deleteLun(spec))
      }
    },
  },
  {
    name: 'two consoles make LUNs of different objects at once without harm to each other',
    async keep(scratch) {
      const specs = [scratch.lunOf(await scratch.create()), scratch.lunOf(await scratch.create())]
      for (const spec of specs) scratch.cleanUp(() => scratch.run(scratch.driver.deleteLun(spec)))
      await Promise.all(
        specs.map((spec, index) =>
          scratch.run([scratch.driver, scratch.bench.other][index]?.createLun(spec) ?? never()),
        ),
      )
      for (const spec of specs)
        expect(await scratch.driver.findLun(spec, scratch.signal)).toMatchObject({ backing: spec.backing })
    },
  },
  {
    name: 'createLun of an object that is not there is not-found and leaves no LUN',
    async keep(scratch) {
      const spec = scratch.lunOf(scratch.ref())
      expect((await failureOf(scratch.run(scratch.driver.createLun(spec)))).code).toBe('not-found')
      expect(await scratch.driver.findLun(spec, scratch.signal)).toBeUndefined()
    },
  },
  {
    name: 'createLun refuses at the LUN limit of the volume; a deleted LUN makes room (A17)',
    async keep(scratch) {
      const limit = scratch.driver.config.settings.lunLimitPerVolume
      const luns = []
      for (let count = await lunCount(scratch); count < limit; count++)
        luns.push(await scratch.createLun(scratch.lunOf(await scratch.create())))
      const last = scratch.lunOf(await scratch.create())
      const { error } = await failureOf(scratch.createLun(last))
      expect(error.code).toBe('device-rejected')
      expect(error.facts['device']).toContain(String(limit))
      expect(await lunCount(scratch)).toBe(limit)
      const [first] = luns
      if (first === undefined) throw new Error('the volume was full of LUNs at the start')
      await scratch.run(scratch.driver.createLun(first))
      await scratch.run(scratch.driver.deleteLun(first))
      await scratch.createLun(last)
    },
  },
  {
    name: 'deleteLun leaves the object to the byte and the LUN count as before (A7)',
    async keep(scratch) {
      const count = await lunCount(scratch)
      const backing = await scratch.create()
      await scratch.bench.writeObject(backing, 4096, randomBytes(100_000))
      const before = await scratch.run(scratch.driver.hashObject(backing))
      const lun = await scratch.createLun(scratch.lunOf(backing))
      expect(await lunCount(scratch)).toBe(count + 1)
      await scratch.run(scratch.driver.mapLun(lun, host))
      await scratch.run(scratch.driver.deleteLun(lun))
      expect(await scratch.driver.findLun(lun, scratch.signal)).toBeUndefined()
      expect(await scratch.canSee(lun, host)).toBeUndefined()
      expect(await lunCount(scratch)).toBe(count)
      expect(await scratch.run(scratch.driver.hashObject(backing))).toBe(before)
      await scratch.run(scratch.driver.deleteLun(lun))
    },
  },
  {
    name: 'deleteObject refuses while a LUN is made from the object (busy)',
    async keep(scratch) {
      const lun = await scratch.createLun(scratch.lunOf(await scratch.create()))
      const remove = scratch.driver.deleteObject(lun.backing, scratch.job)
      expect((await failureOf(scratch.run(remove))).code).toBe('busy')
      expect(await scratch.driver.findObject(lun.backing, scratch.signal)).toMatchObject({
        mark: scratch.job,
      })
      await scratch.run(scratch.driver.deleteLun(lun))
      await scratch.run(scratch.driver.deleteObject(lun.backing, scratch.job))
    },
  },
  {
    name: 'a LUN of the same target name with another serial is not ours: busy, and it stays',
    async keep(scratch) {
      const lun = await scratch.createLun(scratch.lunOf(await scratch.create()))
      await scratch.bench.changeSerial(lun, 'SOMEBODY-ELSE')
      scratch.cleanUp(() => scratch.bench.changeSerial(lun, lun.serial))
      const { driver, signal } = scratch
      expect((await failureOf(driver.findLun(lun, signal))).code).toBe('busy')
      for (const action of [driver.createLun(lun), driver.mapLun(lun, host), driver.deleteLun(lun)])
        expect((await failureOf(scratch.run(action))).code).toBe('busy')
      const listed = (await driver.listLuns(signal)).find(({ target }) => target === lun.target)
      expect(listed).toMatchObject({ serial: 'SOMEBODY-ELSE', mappedTo: [], ours: false })
    },
  },
  {
    name: 'a LUN whose making was cut off has size 0, is completed by createLun and removed by deleteLun',
    async keep(scratch) {
      const { placeHalfMadeLun } = scratch.bench
      if (placeHalfMadeLun === undefined) return
      const spec = scratch.lunOf(await scratch.create())
      scratch.cleanUp(() => scratch.run(scratch.driver.deleteLun(spec)))
      await placeHalfMadeLun(spec)
      expect(await scratch.driver.findLun(spec, scratch.signal)).toMatchObject({ sizeBytes: 0, mappedTo: [] })
      await scratch.run(scratch.driver.createLun(spec))
      expect(await scratch.driver.findLun(spec, scratch.signal)).toMatchObject({ sizeBytes: 4 * 1024 * 1024 })
      await scratch.run(scratch.driver.deleteLun(spec))
      await placeHalfMadeLun(spec)
      await scratch.run(scratch.driver.deleteLun(spec))
      expect(await scratch.driver.findLun(spec, scratch.signal)).toBeUndefined()
    },
  },
]

function never(): never {
  throw new Error('no such console')
}
