import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { linuxStorageConfigSchema, lunFactsSchema } from '#shared/domain/storage.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import { createLinuxStorageArray } from './driver.ts'
import { parseObjects } from './parse-objects.ts'
import { parseProbe } from './parse-probe.ts'
import { naaOfScsiId, parseTgtLuns } from './parse-tgt.ts'
import { parseVolumes } from './parse-volumes.ts'

const fixture = (name: string): string =>
  readFileSync(new URL(`../../../../test/fixtures/linux-storage/${name}`, import.meta.url), 'utf8')

const config = linuxStorageConfigSchema.parse({
  name: 'lab',
  driver: 'linux-storage',
  connection: { host: 'array1' },
  settings: { volumes: { vol1: '/srv/array/vol1' }, portal: '10.0.0.5:23200' },
})

describe('parseObjects', () => {
  test('joins size, mark and shared blocks; leaves out what is no object', () => {
    const objects = parseObjects('vol1', fixture('objects.txt'))
    expect(objects.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      'clone cut',
      'clone web-vm1',
      'container a',
      'container d',
      'container foreign',
      'container p',
      'container web',
      'snapshot web-1',
    ])
    expect(objects[0]).toEqual({
      volume: 'vol1',
      kind: 'clone',
      name: 'cut',
      sizeBytes: 0,
      allocatedBytes: 0,
      mark: 'job-3',
    })
    expect(objects[1]).toEqual({
      volume: 'vol1',
      kind: 'clone',
      name: 'web-vm1',
      sizeBytes: 67_108_864,
      allocatedBytes: 8_519_680,
      uniqueBytes: 262_144,
      mark: 'job-2',
    })
    expect(objects[4]).not.toHaveProperty('mark')
  })
  test('refuses a line that it does not know, instead of losing an object', () => {
    expect(() => parseObjects('vol1', 'find: error\n')).toThrow(/unknown way/)
  })
})

describe('parseTgtLuns', () => {
  const luns = parseTgtLuns(fixture('luns.txt'))
  test('reads maps, sessions, exact sizes', () => {
    expect(luns[0]).toEqual({
      target: 'iqn.2026-11.gantry.array:web-vm1.6e7afee7e08d1eacae41d22e',
      lun: 1,
      serial: '6e7afee7e08d1eacae41d22e',
      naa: '60267616e7afee7e08d1eacae41d22e0',
      backingPath: '/srv/array/vol1/clones/web-vm1.img',
      sizeBytes: 67_108_864,
      mappedTo: ['iqn.2026-11.gantry.test:host-a'],
      sessions: ['iqn.2026-11.gantry.test:host-a'],
      halfMade: false,
    })
  })
  test('reads several LUNs of one target, block devices, and a target that was cut off', () => {
    expect(
      luns.map(({ lun, sizeBytes, mappedTo, halfMade }) => ({ lun, sizeBytes, mappedTo, halfMade })),
    ).toEqual([
      { lun: 1, sizeBytes: 67_108_864, mappedTo: ['iqn.2026-11.gantry.test:host-a'], halfMade: false },
      { lun: 1, sizeBytes: 1_048_576, mappedTo: ['ALL'], halfMade: false },
      { lun: 3, sizeBytes: 2_147_000_000, mappedTo: ['ALL'], halfMade: false },
      { lun: 1, sizeBytes: 0, mappedTo: [], halfMade: true },
    ])
  })
  test('no output is no LUN', () => {
    expect(parseTgtLuns('')).toEqual([])
  })
  // Read from VPD page 0x83 of a real tgtd: several scsi_ids can end in the same NAA name.
  test.each([
    ['IET     00010001', '60000000000000000e00000000010001'],
    ['LAB2-rh', '60000000000000000000000000ab2000'],
    ['60267616e7afee7e08d1eacae41d22e0', '60267616e7afee7e08d1eacae41d22e0'],
  ])('the NAA name that tgtd builds from "%s"', (scsiId, naa) => {
    expect(naaOfScsiId(scsiId)).toBe(naa)
  })
  test('every LUN listed is valid as facts, and only ours is ours', async () => {
    const shell: Shell = {
      name: 'array lab',
      run: async () => ({ exitCode: 0, stdout: Buffer.from(fixture('luns.txt')), stderr: '' }),
    }
    const facts = await createLinuxStorageArray(config, shell).listLuns(new AbortController().signal)
    expect(facts.map((lun) => lunFactsSchema.parse(lun).ours)).toEqual([true, false, false])
    expect(facts[0]?.backing).toEqual({ volume: 'vol1', kind: 'clone', name: 'web-vm1' })
    expect(facts.map(({ name }) => name)).toEqual(['web-vm1', 'archive-1', 'archive-3'])
  })
})

test('parseVolumes reads the line of df, and refuses another', () => {
  expect(parseVolumes(fixture('volumes.txt'))).toEqual([
    {
      name: 'vol1',
      lunCount: 2,
      canReflink: true,
      fileSystem: 'xfs',
      sizeBytes: 2_080_374_784,
      usedBytes: 359_657_472,
      freeBytes: 1_720_717_312,
    },
  ])
  expect(() => parseVolumes('volume vol1 2 yes xfs - - -')).toThrow(/unknown way/)
})

describe('parseProbe', () => {
  test('tells identity, and that all is well', () => {
    const { identity, checks } = parseProbe(config, fixture('probe.txt'))
    expect(identity).toEqual({ vendor: 'Linux', product: 'tgt', version: '1.0.85', serial: '0'.repeat(32) })
    expect(checks.filter(({ ok }) => !ok)).toEqual([])
    expect(checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['root', 'tgtd', 'portal', 'reflink vol1']),
    )
  })
  test('brings advice with each failed check', () => {
    const text = fixture('probe.txt').replaceAll('\tok\t', '\tbad\t').replaceAll('23200', '3260')
    const { checks } = parseProbe(config, text)
    expect(checks.filter(({ ok }) => ok)).toEqual([])
    const withoutAdvice = checks.filter(({ advice }) => advice === undefined).map(({ name }) => name)
    expect(withoutAdvice).toEqual([])
  })
  test('answers also to nothing', () => {
    expect(parseProbe(config, '').identity.serial).toBe('unknown')
  })
})
