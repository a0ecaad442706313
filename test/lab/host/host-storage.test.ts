import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createHostStorage } from '#main/drivers/hosts/libvirt/storage.ts'
import type { LunAddress } from '#shared/domain/storage.ts'
import { createLocalShell } from '#test/contract/local-shell.ts'
import { hostStoragePromises } from '#test/contract/host-storage.ts'
import { hostStorageSpecimens } from '#test/contract/host-storage-specimens.ts'
import type { HostStorageBench } from '#test/contract/host-storage-bench.ts'
import { startScratchArray } from './scratch-array.ts'
import type { ScratchArray } from './scratch-array.ts'

const initiator = 'iqn.2026-11.gantry.scratch:host'

describe('host storage on this computer, attached in user space', () => {
  let array: ScratchArray
  let directory: string

  beforeAll(async () => {
    array = await startScratchArray({ initiator })
    directory = await mkdtemp(join(tmpdir(), 'gantry-host-'))
  })
  afterAll(async () => {
    await array.stop()
    await rm(directory, { recursive: true })
  })

  // what a failed promise has left would stay behind its array
  const used: { driver: HostStorageBench['driver']; lun: LunAddress }[] = []
  afterEach(async () => {
    const signal = AbortSignal.timeout(60_000)
    for (const { driver, lun } of used.splice(0))
      if ((await driver.findAttached(lun, signal)) !== undefined) {
        await driver.unmountUnit(lun).run({ signal })
        await driver.detachLun(lun).run({ signal })
      }
  })

  async function newBench(): Promise<HostStorageBench> {
    const shell = createLocalShell('host scratch')
    const driver = createHostStorage(
      {
        name: 'scratch',
        driver: 'libvirt',
        connection: { host: 'localhost' },
        settings: {
          uri: 'qemu:///system',
          stateDir: join(directory, 'state of gantry'),
          portals: {},
          initiatorName: initiator,
        },
      },
      shell,
    )
    return {
      driver,
      shell,
      scratch: await mkdtemp(join(directory, 'scratch-')),
      async newLun(sizeBytes, onFullVolume) {
        const lun = await array.newLun(sizeBytes, onFullVolume)
        used.push({ driver, lun })
        return lun
      },
      replaceLun: (lun) => array.replace(lun),
      countSessions: (lun) => array.sessions(lun),
      backingOf: (lun) => array.backingOf(lun),
    }
  }

  for (const promise of hostStoragePromises)
    test(promise.name, async () => {
      await promise.run(await newBench())
    })

  for (const { fault, brokenPromise, spoil } of hostStorageSpecimens)
    test(`a driver that ${fault} is noticed`, async () => {
      const [promise, ...others] = hostStoragePromises.filter((item) => brokenPromise.test(item.name))
      expect(others).toEqual([])
      const bench = await newBench()
      const broken = { ...bench, driver: { ...bench.driver, ...spoil(bench) } }
      await expect(promise === undefined ? undefined : promise.run(broken)).rejects.toThrow()
    })

  test('no promise has an empty name or stands twice', () => {
    const names = hostStoragePromises.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
  })
})
