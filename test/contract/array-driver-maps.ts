import { expect } from 'vitest'
import type { LunIdentity } from '#shared/domain/storage.ts'
import { failureOf } from './array-bench.ts'
import type { Scratch } from './array-bench.ts'
import type { Promised } from './array-driver.ts'

const host = 'iqn.2026-11.gantry.test:host-a'
const stranger = 'iqn.2026-11.gantry.test:host-b'

/** The initiator's tool prints the NAA name as text, so it must hold no zero byte. */
function readableIdentity({ driver }: Scratch, name: string): LunIdentity {
  for (;;) {
    const identity = driver.newIdentity(name)
    if (!Buffer.from(identity.naa, 'hex').includes(0)) return identity
  }
}

async function mapped(scratch: Scratch) {
  const backing = await scratch.create()
  const lun = await scratch.createLun({
    ...readableIdentity(scratch, backing.name),
    backing,
    osType: 'linux',
  })
  await scratch.run(scratch.driver.mapLun(lun, host))
  return lun
}

export const mapPromises: readonly Promised[] = [
  {
    name: 'mapLun admits this initiator alone, which is told serial and NAA of the identity (A4)',
    async keep(scratch) {
      const lun = await mapped(scratch)
      expect(await scratch.canSee(lun, host)).toEqual({ serial: lun.serial, naa: lun.naa })
      expect(await scratch.canSee(lun, stranger)).toBeUndefined()
      expect(await scratch.driver.findLun(lun, scratch.signal)).toMatchObject({ mappedTo: [host] })
    },
  },
  {
    name: 'mapLun again is no error; a second initiator is refused (busy)',
    async keep(scratch) {
      const lun = await mapped(scratch)
      await scratch.run(scratch.driver.mapLun(lun, host))
      const { error } = await failureOf(scratch.run(scratch.driver.mapLun(lun, stranger)))
      expect(error.code).toBe('busy')
      expect(error.facts['device']).toContain(host)
      expect(await scratch.driver.findLun(lun, scratch.signal)).toMatchObject({ mappedTo: [host] })
    },
  },
  {
    name: 'createLun with an initiator makes the LUN mapped to it alone; again is no error, for another one busy',
    async keep(scratch) {
      const backing = await scratch.create()
      const lun = { ...readableIdentity(scratch, backing.name), backing, osType: 'linux' as const }
      scratch.cleanUp(() => scratch.run(scratch.driver.deleteLun(lun)))
      await scratch.run(scratch.driver.createLun(lun, host))
      await scratch.run(scratch.driver.createLun(lun, host))
      expect(await scratch.canSee(lun, host)).toEqual({ serial: lun.serial, naa: lun.naa })
      expect(await scratch.canSee(lun, stranger)).toBeUndefined()
      expect((await failureOf(scratch.run(scratch.driver.createLun(lun, stranger)))).code).toBe('busy')
      expect(await scratch.driver.findLun(lun, scratch.signal)).toMatchObject({ mappedTo: [host] })
      await scratch.run(scratch.driver.deleteLun(lun))
      await scratch.run(scratch.driver.createLun(lun))
      await scratch.run(scratch.driver.createLun(lun, host))
      expect(await scratch.driver.findLun(lun, scratch.signal)).toMatchObject({ mappedTo: [host] })
    },
  },
  {
    name: 'mapLun of a LUN that is not there is not-found; of a name that means everybody, bad-request',
    async keep(scratch) {
      const identity = scratch.driver.newIdentity('nothing')
      expect((await failureOf(scratch.run(scratch.driver.mapLun(identity, host)))).code).toBe('not-found')
      expect(() => scratch.driver.mapLun(identity, 'ALL')).toThrow(/initiator name/)
    },
  },
  {
    name: 'unmapLun shuts the initiator out; what is not mapped or not there is no error (A7)',
    async keep(scratch) {
      const lun = await mapped(scratch)
      await scratch.run(scratch.driver.unmapLun(lun, stranger))
      expect(await scratch.canSee(lun, host)).toBeDefined()
      await scratch.run(scratch.driver.unmapLun(lun, host))
      expect(await scratch.canSee(lun, host)).toBeUndefined()
      await scratch.run(scratch.driver.unmapLun(lun, host))
      await scratch.run(scratch.driver.unmapLun(scratch.driver.newIdentity('nothing'), host))
    },
  },
  {
    name: 'deleteLun refuses while an initiator is logged in, names it, and the session goes on (busy)',
    async keep(scratch) {
      const lun = await mapped(scratch)
      const session = await scratch.logIn(lun, host)
      await session.read()
      expect(await scratch.driver.findLun(lun, scratch.signal)).toMatchObject({ sessions: [host] })
      const { error } = await failureOf(scratch.run(scratch.driver.deleteLun(lun)))
      expect(error.code).toBe('busy')
      expect(error.facts['device']).toContain(host)
      await session.read()
      await session.logOut()
      await scratch.run(scratch.driver.deleteLun(lun))
      expect(await scratch.driver.findLun(lun, scratch.signal)).toBeUndefined()
    },
  },
  {
    name: 'unmapLun leaves a session that exists; the LUN refuses to be deleted, and a map for another initiator',
    async keep(scratch) {
      const { driver } = scratch
      const lun = await mapped(scratch)
      const session = await scratch.logIn(lun, host)
      await scratch.run(driver.unmapLun(lun, host))
      await session.read()
      for (const action of [
        driver.deleteLun(lun),
        driver.mapLun(lun, stranger),
        driver.createLun(lun, stranger),
      ])
        expect((await failureOf(scratch.run(action))).code).toBe('busy')
      await scratch.run(driver.mapLun(lun, host))
      await scratch.run(driver.unmapLun(lun, host))
      await session.logOut()
    },
  },
  {
    name: 'restoreLuns makes lost LUNs again with their maps, and leaves those alone that are there',
    async keep(scratch) {
      const { bench, driver, signal } = scratch
      if (bench.loseLuns === undefined || driver.restoreLuns === undefined) return
      const kept = await mapped(scratch)
      const lost = await mapped(scratch)
      await bench.loseLuns()
      expect(await driver.listLuns(signal)).toEqual([])
      await scratch.run(driver.restoreLuns([{ lun: kept, initiators: [host] }]))
      const session = await scratch.logIn(kept, host)
      await scratch.run(driver.restoreLuns([kept, lost].map((lun) => ({ lun, initiators: [host] }))))
      await session.read()
      for (const lun of [kept, lost]) {
        expect(await driver.findLun(lun, signal)).toMatchObject({ backing: lun.backing, mappedTo: [host] })
        expect(await scratch.canSee(lun, host)).toEqual({ serial: lun.serial, naa: lun.naa })
        expect(await scratch.canSee(lun, stranger)).toBeUndefined()
      }
      await session.logOut()
    },
  },
  {
    name: 'restoreLuns goes on after one that it cannot make, and names it',
    async keep(scratch) {
      const { bench, driver } = scratch
      if (bench.loseLuns === undefined || driver.restoreLuns === undefined) return
      const good = await mapped(scratch)
      const gone = scratch.lunOf(scratch.ref())
      await bench.loseLuns()
      const restore = driver.restoreLuns([gone, good].map((lun) => ({ lun, initiators: [host] })))
      const { error } = await failureOf(scratch.run(restore))
      expect(error.code).toBe('device-rejected')
      expect(JSON.stringify(error.facts)).toContain(gone.name)
      expect(await driver.findLun(good, scratch.signal)).toMatchObject({ mappedTo: [host] })
    },
  },
]
