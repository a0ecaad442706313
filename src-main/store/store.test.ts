import { readFileSync, readdirSync } from 'node:fs'
import { linuxStorageConfigSchema } from '#shared/domain/storage.ts'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  sampleArray,
  sampleContainer,
  sampleDeployment,
  sampleRecipe,
  sampleHost,
  sampleLun,
  sampleTemplate,
  sampleVm,
  sampleVolume,
} from '#test/unit/store/samples.ts'
import { makeTempDir } from '#test/unit/temp-dir.ts'
import { openStore } from './store.ts'
import type { Store } from './store.ts'

function makeStore(dir = makeTempDir()): Store {
  const store = openStore(join(dir, 'gantry.db'))
  onTestFinished(() => store.close())
  return store
}

/** A store with everything once. */
function makeFullStore(): Store {
  const store = makeStore()
  store.arrays.put(sampleArray())
  store.hosts.put(sampleHost())
  store.volumes.put(sampleVolume())
  store.containers.put(sampleContainer())
  store.luns.put(sampleLun())
  store.deployments.put(sampleDeployment(), sampleRecipe())
  store.vms.put(sampleVm())
  store.templates.put(sampleTemplate())
  return store
}

const code = (expected: string): unknown => expect.objectContaining({ code: expected })

describe('repositories', () => {
  it('give back what was put, also to the next process', () => {
    const dir = makeTempDir()
    const first = openStore(join(dir, 'gantry.db'))
    first.arrays.put(sampleArray())
    first.hosts.put(sampleHost())
    first.luns.put(sampleLun())
    first.deployments.put(sampleDeployment(), sampleRecipe())
    first.close()

    const store = makeStore(dir)
    expect(store.arrays.get('lab-array')).toEqual(sampleArray())
    expect(store.hosts.list()).toEqual([sampleHost()])
    expect(store.luns.get('lab-array', 'web-1')).toEqual(sampleLun())
    expect(store.deployments.find('web-1')).toEqual(sampleDeployment())
    expect(store.deployments.recipeOf('web-1')).toEqual(sampleRecipe())
  })

  it('find nothing, get not-found, and delete without complaint what is not there', () => {
    const store = makeStore()
    const container = { array: 'a', volume: 'v', name: 'c' }
    const { source } = sampleTemplate()
    expect([
      store.arrays.find('x'),
      store.hosts.find('x'),
      store.volumes.find('a', 'x'),
      store.containers.find(container),
      store.luns.find('a', 'x'),
      store.deployments.find('x'),
      store.vms.find('h', 'x'),
      store.templates.find('h', source),
    ]).toEqual(Array(8).fill(undefined))
    for (const get of [
      () => store.arrays.get('x'),
      () => store.hosts.get('x'),
      () => store.volumes.get('a', 'x'),
      () => store.containers.get(container),
      () => store.luns.get('a', 'x'),
      () => store.deployments.get('x'),
      () => store.deployments.recipeOf('x'),
      () => store.vms.get('h', 'x'),
      () => store.templates.get('h', source),
    ])
      expect(get).toThrow(code('not-found'))
    store.arrays.delete('x')
    store.hosts.delete('x')
    store.volumes.delete('a', 'x')
    store.containers.delete(container)
    store.luns.delete('a', 'x')
    store.deployments.delete('x')
    store.vms.delete('h', 'x')
    store.templates.delete('h', source)
  })

  it('put again in the place of what was there', () => {
    const store = makeFullStore()
    const { config } = sampleArray()
    store.arrays.put({ config })
    expect(store.arrays.get('lab-array')).toEqual({ config })
    store.containers.put({ ...sampleContainer(), sizeBytes: 8192 })
    expect(store.containers.list()).toEqual([{ ...sampleContainer(), sizeBytes: 8192 }])
    store.templates.put({ ...sampleTemplate(), name: 'renamed' })
    expect(store.templates.list('lab-host').map((template) => template.name)).toEqual(['renamed'])
  })

  it('replace what is known of one array, volume or host and nothing else', () => {
    const store = makeFullStore()
    store.arrays.put(sampleArray('other'))
    store.volumes.put(sampleVolume('other'))
    store.containers.put(sampleContainer('web', 'other'))
    store.hosts.put(sampleHost('other'))
    store.vms.put(sampleVm('2', 'other'))

    store.volumes.replaceAll('lab-array', [sampleVolume('lab-array', 'vol2')])
    store.containers.replaceAll('lab-array', 'vol1', [sampleContainer('db')])
    store.vms.replaceAll('lab-host', [sampleVm('3')])

    expect(store.volumes.list().map(({ array, name }) => `${array}/${name}`)).toEqual([
      'lab-array/vol2',
      'other/vol1',
    ])
    expect(store.containers.list().map(({ array, name }) => `${array}/${name}`)).toEqual([
      'lab-array/db',
      'other/web',
    ])
    expect(store.containers.list({ array: 'other' })).toHaveLength(1)
    expect(store.containers.listByUnit(sampleContainer().staged?.unitId ?? '')).toHaveLength(2)
    expect(store.vms.list().map((vm) => vm.name)).toEqual(['vm-3', 'vm-2'])
    expect(store.vms.list('other')).toHaveLength(1)
  })

  it('list deployments by host and by container', () => {
    const store = makeFullStore()
    store.deployments.put(sampleDeployment('web-2', '2'), sampleRecipe())
    const web = { array: 'lab-array', volume: 'vol1', name: 'web' }
    expect(store.deployments.listByContainer(web).map(({ name }) => name)).toEqual(['web-1', 'web-2'])
    expect(store.deployments.listByContainer({ ...web, name: 'db' })).toEqual([])
    expect(store.deployments.listByHost('lab-host')).toHaveLength(2)
  })

  it('refuse a shape that is not theirs', () => {
    const store = makeStore()
    const { config } = sampleArray()
    expect(() => store.arrays.put({ config: { ...config, name: 'no/slash' } })).toThrow(code('bad-request'))
  })

  it('keep all writes of a transaction or none', () => {
    const store = makeStore()
    expect(() =>
      store.transaction(() => {
        store.arrays.put(sampleArray())
        store.luns.put(sampleLun())
        store.luns.put(sampleLun('other', '1'))
      }),
    ).toThrow(code('busy'))
    expect(store.arrays.list()).toEqual([])
  })
})

describe('LUN records', () => {
  it('keep a serial of digits and an "e" as it is', () => {
    const store = makeFullStore()
    expect(store.luns.get('lab-array', 'web-1').identity.serial).toBe('50060e8010203041')
  })

  it('are not overwritten by another LUN of the same name', () => {
    const store = makeFullStore()
    expect(() => store.luns.put(sampleLun('web-1', '2'))).toThrow(code('busy'))
    expect(store.luns.list()).toEqual([sampleLun()])
  })

  it('have a serial, an NAA and a target that no other has', () => {
    const store = makeFullStore()
    const other = sampleLun('web-2', '2')
    const { serial, naa, target } = sampleLun().identity
    for (const same of [{ serial }, { naa }, { target }])
      expect(() => store.luns.put({ ...other, identity: { ...other.identity, ...same } })).toThrow(
        code('busy'),
      )
    store.luns.put(other)
    expect(store.luns.list('lab-array')).toHaveLength(2)
  })

  it('learn and forget initiators, again without complaint', () => {
    const store = makeFullStore()
    const initiators = (): string[] => store.luns.get('lab-array', 'web-1').initiators
    store.luns.addInitiator('lab-array', 'web-1', 'iqn.2026-11.example:b')
    store.luns.addInitiator('lab-array', 'web-1', 'iqn.2026-11.example:b')
    expect(initiators()).toEqual(['iqn.1993-08.org.debian:01:host', 'iqn.2026-11.example:b'])
    store.luns.removeInitiator('lab-array', 'web-1', 'iqn.1993-08.org.debian:01:host')
    store.luns.removeInitiator('lab-array', 'web-1', 'iqn.1993-08.org.debian:01:host')
    store.luns.removeInitiator('lab-array', 'gone', 'iqn.2026-11.example:b')
    expect(initiators()).toEqual(['iqn.2026-11.example:b'])
    expect(() => store.luns.addInitiator('lab-array', 'gone', 'x')).toThrow(code('not-found'))
  })
})

describe('what is in use stays', () => {
  it('an array with containers, LUNs or deployments is busy and says which', () => {
    const store = makeFullStore()
    expect(() => store.arrays.delete('lab-array')).toThrow(
      expect.objectContaining({
        code: 'busy',
        object: 'array lab-array',
        facts: { containers: 'web', LUNs: 'web-1', deployments: 'web-1' },
      }),
    )
    store.deployments.delete('web-1')
    expect(() => store.arrays.delete('lab-array')).toThrow(code('busy'))
    store.luns.delete('lab-array', 'web-1')
    expect(() => store.arrays.delete('lab-array')).toThrow(code('busy'))
    store.containers.delete(sampleContainer())
    store.arrays.delete('lab-array')
    expect([store.arrays.list(), store.volumes.list()]).toEqual([[], []])
  })

  it('a host with deployments is busy; its VMs and templates go with it', () => {
    const store = makeFullStore()
    expect(() => store.hosts.delete('lab-host')).toThrow(code('busy'))
    store.deployments.delete('web-1')
    store.hosts.delete('lab-host')
    expect([store.hosts.list(), store.vms.list(), store.templates.list()]).toEqual([[], [], []])
  })

  it('a record cannot refer to an array or host that is not there', () => {
    const store = makeStore()
    expect(() => store.luns.put(sampleLun())).toThrow(code('not-found'))
    expect(() => store.deployments.put(sampleDeployment(), sampleRecipe())).toThrow(code('not-found'))
    expect(() => store.vms.put(sampleVm())).toThrow(code('not-found'))
  })

  it('a deployment is not overwritten by another VM', () => {
    const store = makeFullStore()
    expect(() => store.deployments.put(sampleDeployment('web-1', '2'), sampleRecipe())).toThrow(code('busy'))
    expect(() => store.deployments.put(sampleDeployment('web-2', '1'), sampleRecipe())).toThrow(code('busy'))
    expect(store.deployments.list()).toEqual([sampleDeployment()])
  })
})

describe('secrets', () => {
  it('do not reach the disk: a connection keeps only where its secrets come from', () => {
    const dir = makeTempDir()
    const store = makeStore(dir)
    const secret = 'canary-hunter2'
    const array = sampleArray()
    const config = linuxStorageConfigSchema.parse(array.config)
    const host = sampleHost()
    store.arrays.put({
      ...array,
      config: {
        ...config,
        connection: Object.assign(structuredClone(config.connection), {
          secret,
          password: { from: 'env' as const, variable: 'ARRAY_PASSWORD', value: secret },
        }),
      },
    })
    const hostWithToken = { ...host, config: Object.assign(structuredClone(host.config), { token: secret }) }
    store.hosts.put(Object.assign(hostWithToken, { password: secret }))
    store.templates.put({
      ...sampleTemplate(),
      summary: Object.assign(sampleTemplate().summary, { configuration: `<graphics passwd='${secret}'/>` }),
    })

    store.volumes.put(Object.assign(sampleVolume(), { secret }))
    store.containers.put(Object.assign(sampleContainer(), { secret }))
    store.luns.put(Object.assign(sampleLun(), { chapSecret: secret }))
    store.deployments.put(
      Object.assign(sampleDeployment(), { secret }),
      Object.assign(sampleRecipe(), { secret }),
    )
    store.vms.put(Object.assign(sampleVm(), { secret }))

    expect(store.arrays.get('lab-array')).toEqual(array)
    const bytes = Buffer.concat(readdirSync(dir).map((name) => readFileSync(join(dir, name))))
    expect(bytes.includes('ARRAY_PASSWORD')).toBe(true)
    expect(bytes.includes(secret)).toBe(false)
  })
})
