import { randomBytes } from 'node:crypto'
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KiB, MiB } from '#shared/units/bytes.ts'
import { GantryCommand } from '../lab/gantry-command.ts'
import { applyPoints } from './kinds.ts'

const undoPoints = ['before-undo', 'after-undo'] as const

/** Work on units needs no lab: the devices are files. */
describe('crash matrix of work on units', () => {
  let folder: string
  let gantry: GantryCommand
  let path: string
  let whole: Buffer
  const image = Buffer.concat([randomBytes(256 * KiB), Buffer.alloc(MiB)])

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'gantry-units-'))
    gantry = new GantryCommand()
    path = join(folder, 'web.unit')
    writeFileSync(join(folder, 'web.raw'), image)
    empty()
    await gantry.ok(write())
    whole = readFileSync(path)
  })
  afterAll(() => {
    gantry.dispose()
    rmSync(folder, { recursive: true, force: true })
  })

  const empty = (): void => {
    writeFileSync(path, '')
    truncateSync(path, 32 * MiB)
  }
  const write = (): string[] => [
    ...[
      'unit',
      'write',
      '--image',
      join(folder, 'web.raw'),
      '--name',
      'web',
      '--memory',
      '8M',
      '--cpus',
      '1',
    ],
    ...['--file', path, '--zeroed'],
  ]
  const isEmpty = (): boolean => {
    const bytes = readFileSync(path)
    return [bytes.subarray(0, 2 * MiB), bytes.subarray(-MiB)].every((end) => end.every((byte) => byte === 0))
  }

  async function killedAt(args: string[], failAt: string, failing?: string): Promise<void> {
    const more = failing === undefined ? {} : { GANTRY_FAIL_STEP: failing }
    const { signal, stderr } = await gantry.run(args, { env: { GANTRY_FAIL_AT: failAt, ...more } })
    expect(signal, stderr).toBe('SIGKILL')
  }
  async function recovered(): Promise<void> {
    await gantry.ok(['jobs', 'recover'])
    const jobs = await gantry.json<{ state: string }[]>(['jobs', 'list'])
    expect(jobs.filter(({ state }) => state !== 'done' && state !== 'undone')).toEqual([])
  }

  test.each([
    ...applyPoints.map((point) => [`unit-work/write/${point}`, undefined] as const),
    ['unit-work/verify-0/after-intent', undefined] as const,
    ...undoPoints.map((point) => [`unit-work/write/${point}`, 'unit-work/verify-0'] as const),
  ])('a writing killed at %s leaves an empty device, which can be written again', async (point, failing) => {
    empty()
    await killedAt(write(), point, failing)
    await recovered()
    expect(isEmpty()).toBe(true)
    await gantry.ok(write())
  })

  test.each(applyPoints)('an export killed at %s leaves no half of a file', async (point) => {
    writeFileSync(path, whole)
    const target = join(folder, `${point}.raw`)
    await killedAt(['unit', 'export', '--file', path, '--to', target], `unit-work/export/${point}`)
    await recovered()
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([])
    expect(existsSync(target)).toBe(point !== 'after-intent')
    if (existsSync(target)) expect(readFileSync(target).equals(image)).toBe(true)
  })

  test.each(applyPoints)('a repair killed at %s is done again', async (point) => {
    writeFileSync(path, Buffer.from(whole).fill(0, 0, MiB + 4096))
    const repair = ['unit', 'repair', '--file', path, '--yes']
    await killedAt(repair, `unit-work/repair/${point}`)
    await recovered()
    await gantry.ok(repair)
    expect(readFileSync(path).equals(whole)).toBe(true)
  })
})
