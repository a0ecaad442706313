import { copyFile, rm, truncate, writeFile, symlink } from 'node:fs/promises'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ObjectRef } from '#shared/domain/storage.ts'
import type { Action } from '#main/drivers/action.ts'
import type { ArrayDriver } from '#main/drivers/arrays/contract.ts'
import { daemonPlaces } from '#main/drivers/arrays/embedded/daemon/places.ts'
import { encodeTable, readTable } from '#main/drivers/arrays/embedded/daemon/state-file.ts'
import { objectPath, volumePath } from '#main/drivers/arrays/layout.ts'
import type { ArrayBench } from './array-bench.ts'
import { arrayPromises, keepPromise } from './array-driver.ts'
import { startEmbeddedBench } from './embedded-bench.ts'
import type { EmbeddedBench } from './embedded-bench.ts'

const action = (run: () => Promise<void>): Action => ({ commands: ['fault'], run })

/** Faults that the driver of this computer could have, and the promises that must report them. */
const specimens: readonly {
  readonly fault: string
  readonly spoil: (array: EmbeddedBench) => Partial<ArrayDriver>
  readonly reportedBy: readonly string[]
}[] = [
  {
    fault: 'createObject overwrites what is there',
    spoil: (array) => ({
      createObject: (spec) =>
        action(async () => {
          const path = pathOf(array, spec)
          mkdirSync(join(path, '..'), { recursive: true })
          await writeFile(path, '')
          await truncate(path, spec.sizeBytes)
          await rm(`${path}.gantry`, { force: true })
          await symlink(`job=${spec.mark}`, `${path}.gantry`)
        }),
    }),
    reportedBy: [
      'createObject refuses a taken name as busy and leaves what is there as it is',
      'createObject refuses the name of an object that is not ours',
    ],
  },
  {
    fault: 'deleteObject ignores mark and LUNs',
    spoil: (array) => ({
      deleteObject: (ref) =>
        action(async () => {
          await rm(pathOf(array, ref), { force: true })
          await rm(`${pathOf(array, ref)}.gantry`, { force: true })
        }),
    }),
    reportedBy: [
      'deleteObject removes only what bears the mark, and succeeds when there is nothing',
      'deleteObject leaves an object without a mark',
      'deleteObject refuses while a LUN is made from the object (busy)',
    ],
  },
  {
    fault: 'copyObject writes the holes and does not look for LUNs',
    spoil: (array) => ({
      copyObject: ({ from, to, mark }) =>
        action(async () => {
          await copyFile(pathOf(array, from), pathOf(array, to))
          await rm(`${pathOf(array, to)}.gantry`, { force: true })
          await symlink(`job=${mark}`, `${pathOf(array, to)}.gantry`)
        }),
    }),
    reportedBy: [
      'a full copy refuses a taken name, and a container that is under a LUN (busy); again it succeeds',
      'a full copy of what is not there is not-found, one that is cancelled is cancelled; both leave nothing',
    ],
  },
  {
    fault: 'deleteLun ignores sessions and serials',
    spoil: (array) => ({
      deleteLun: ({ target }) =>
        action(async () => {
          await array.stop()
          const { table } = daemonPlaces(array.folder)
          const luns = await readTable(table)
          await writeFile(table, encodeTable(luns.filter(({ identity }) => identity.target !== target)))
        }),
    }),
    reportedBy: [
      'a LUN of the same target name with another serial is not ours: busy, and it stays',
      'deleteLun refuses while an initiator is logged in, names it, and the session goes on (busy)',
    ],
  },
]

const pathOf = (array: EmbeddedBench, ref: ObjectRef): string =>
  join(volumePath(array.config, ref.volume), objectPath(ref))

let array: EmbeddedBench | undefined
beforeAll(async () => {
  array = await startEmbeddedBench()
})
afterAll(() => array?.close())

for (const { fault, spoil, reportedBy } of specimens)
  test(`the suite reports an embedded array whose ${fault}`, async () => {
    if (array === undefined) throw new Error('the bench did not start')
    const spoiled: ArrayDriver = { ...array.bench.driver, ...spoil(array) }
    const specimen: ArrayBench = { ...array.bench, driver: spoiled, other: spoiled }
    for (const name of reportedBy) {
      const promised = arrayPromises.find((candidate) => candidate.name === name)
      if (promised === undefined) throw new Error(`there is no promise "${name}"`)
      await expect(keepPromise(promised, specimen), name).rejects.toThrow()
      await array.bench.loseLuns?.()
    }
    // what the fault does not touch still holds
    const untouched = arrayPromises.find(({ name }) => name.startsWith('two identities'))
    if (untouched !== undefined) await keepPromise(untouched, specimen)
  }, 60_000)
