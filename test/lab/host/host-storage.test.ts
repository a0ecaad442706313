import { mkdtemp, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { libvirtHostConfigSchema } from '#shared/domain/compute.ts'
import { createLocalShell } from '#test/contract/local-shell.ts'
import { hostStorageSpecimens } from '#test/contract/host-storage-specimens.ts'
import { hostStoragePromises } from '#test/contract/host-storage.ts'
import { runHostPromises } from './run-promises.ts'

const initiator = 'iqn.2026-11.gantry.scratch:host'

describe('host storage on this computer, attached in user space', () => {
  const stateDirs: string[] = []
  // hooks after tests run in reverse order: nothing is left in it by then
  afterAll(async () => {
    for (const stateDir of stateDirs) await rmdir(stateDir)
  })
  const newBench = runHostPromises(async () => {
    const stateDir = await mkdtemp(join(tmpdir(), 'gantry state '))
    stateDirs.push(stateDir)
    const config = libvirtHostConfigSchema.parse({
      name: 'scratch',
      driver: 'libvirt',
      connection: { host: 'localhost' },
      settings: { stateDir, initiatorName: initiator },
    })
    return { config, shell: createLocalShell('host scratch'), initiator }
  })
  for (const { fault, brokenPromise, spoil } of hostStorageSpecimens)
    test(`a driver that ${fault} is noticed`, async () => {
      const [promise, ...others] = hostStoragePromises.filter((item) => brokenPromise.test(item.name))
      expect(others).toEqual([])
      const bench = await newBench()
      const broken = { ...bench, driver: { ...bench.driver, ...spoil(bench) } }
      await expect(promise === undefined ? undefined : promise.run(broken)).rejects.toThrow()
    })

  test('no promise stands twice', () => {
    const names = hostStoragePromises.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
  })
})
