import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { initiatorNameSchema } from '#shared/domain/names.ts'
import { consoleInitiatorName } from './initiator-name.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gantry-name-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

test('made once, kept for the user alone, and another one in another folder', () => {
  const name = consoleInitiatorName(dir)
  expect(initiatorNameSchema.parse(name)).toBe(name)
  expect(consoleInitiatorName(dir)).toBe(name)
  expect(readdirSync(dir)).toEqual(['initiator-name'])
  expect(statSync(join(dir, 'initiator-name')).mode & 0o777).toBe(0o600)
  const other = mkdtempSync(join(dir, 'other-'))
  expect(consoleInitiatorName(other)).not.toBe(name)
})

test('a name that a person has put there is used; what is none is refused', () => {
  const path = join(dir, 'initiator-name')
  writeFileSync(path, 'iqn.2001-04.com.example:console\n')
  expect(consoleInitiatorName(dir)).toBe('iqn.2001-04.com.example:console')
  writeFileSync(path, 'my laptop\n')
  expect(() => consoleInitiatorName(dir)).toThrow(
    expect.objectContaining({ code: 'bad-request', object: path }),
  )
})
