import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { AppError } from '#shared/errors/app-error.ts'
import { linuxStorageConfigSchema } from '#shared/domain/storage.ts'
import type { ObjectRef } from '#shared/domain/storage.ts'
import { MiB } from '#shared/units/bytes.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import { createLinuxStorageArray } from './driver.ts'
import { translateError } from './errors.ts'

const config = linuxStorageConfigSchema.parse({
  name: 'lab',
  driver: 'linux-storage',
  connection: { host: 'array1' },
  settings: { volumes: { vol1: '/srv/it\'s "vol" $(1)/' }, portal: '10.0.0.5:3260' },
})
const silent: Shell = { name: 'array lab', run: () => Promise.reject(new Error('nothing may be sent')) }
const driver = createLinuxStorageArray(config, silent)
const web: ObjectRef = { volume: 'vol1', kind: 'container', name: 'web' }
const host = 'iqn.2026-11.gantry.test:host-a'

const cases = JSON.parse(
  readFileSync(new URL('../../../../test/fixtures/linux-storage/errors.json', import.meta.url), 'utf8'),
) as { case: string; exitCode: number; stderr: string; code: string }[]

test.each(cases)('translates: $case -> $code', ({ exitCode, stderr, code }) => {
  const error = new AppError('device-rejected', 'The command failed', {
    effect: 'unknown',
    facts: { exitCode: String(exitCode), stderr },
  })
  expect(translateError(error, 'volume lab:vol1')).toMatchObject({
    code,
    effect: 'unknown',
    facts: { stderr },
  })
})

test('a lost connection is not translated', () => {
  const error = new AppError('unreachable', 'gone', {
    effect: 'unknown',
    facts: { stderr: 'Permission denied' },
  })
  expect(translateError(error, 'x')).toBe(error)
})

describe('what reaches the shell', () => {
  test('the path of a volume is quoted wherever it is used', () => {
    const lun = { ...driver.newIdentity('web'), backing: web, osType: 'linux' as const }
    for (const { commands } of [
      driver.createObject({ ...web, sizeBytes: MiB, mark: 'job-1' }),
      driver.deleteObject(web, 'job-1'),
      driver.createLun(lun),
    ])
      expect(commands.join('\n')).toContain(`'/srv/it'\\''s "vol" $(1)`)
  })
  test('names, marks, initiators and identities that are none are refused before anything is sent', () => {
    const identity = driver.newIdentity('web')
    expect(() => driver.deleteObject({ ...web, name: '../web' }, 'job-1')).toThrow(/no name/)
    expect(() => driver.deleteObject(web, '../job')).toThrow(/no id of a job/)
    expect(() => driver.deleteObject(web, '')).toThrow(/no id of a job/)
    expect(() => driver.mapLun(identity, 'ALL')).toThrow(/initiator name/)
    expect(() => driver.deleteLun({ ...identity, serial: 'a,removable=1' })).toThrow(/no identity/)
    expect(() => driver.deleteLun({ ...identity, lun: 0 })).toThrow(/no identity/)
    expect(() => driver.createObject({ ...web, volume: 'other', sizeBytes: MiB, mark: 'job-1' })).toThrow(
      /no volume/,
    )
  })
  test('a copy that would leave its volume is refused', () => {
    const to = { ...web, volume: 'vol2', kind: 'clone' as const }
    expect(() => driver.cloneObject?.({ from: web, to, mark: 'job-1' })).toThrow(/stays on the volume/)
  })
  test('each script of restoreLuns fits into one argument of a command (128 KiB), also with the longest names', () => {
    const luns = Array.from({ length: 130 }, (_, index) => {
      const name = `vm-${index}-`.padEnd(63, 'x')
      const backing = { volume: 'vol1', kind: 'clone' as const, name }
      return { lun: { ...driver.newIdentity(name), backing, osType: 'linux' as const }, initiators: [host] }
    })
    const commands = driver.restoreLuns?.(luns).commands ?? []
    expect(commands).toHaveLength(3)
    for (const command of commands) expect(command.length).toBeLessThan(64 * 1024)
  })
})
