import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { encodeLockRecord } from '#main/protocols/unit/lock-record.ts'
import { unitReportSchema } from '#shared/contract/units.ts'
import { KiB, MiB } from '#shared/units/bytes.ts'
import { RealConsole } from '#test/support/real-console.ts'
import { runGantry } from '#test/support/run-gantry.ts'
import { makeTempDir } from '#test/unit/temp-dir.ts'

/** The real core over files of this computer. */
function console(): RealConsole['run'] {
  const real = new RealConsole(makeTempDir())
  return (args, options) => real.run(args, options)
}

function file(name: string, bytes: Uint8Array): string {
  const path = join(makeTempDir(), name)
  writeFileSync(path, bytes)
  return path
}

let master: { readonly unit: Buffer; readonly image: Buffer } | undefined

/** A unit that the command line has written; written once, copied for each test. */
async function writtenUnit(): Promise<{ gantry: ReturnType<typeof console>; path: string; image: Buffer }> {
  const gantry = console()
  master ??= await write(gantry)
  return { gantry, path: file('web.unit', master.unit), image: master.image }
}

async function write(gantry: ReturnType<typeof console>): Promise<{ unit: Buffer; image: Buffer }> {
  const image = Buffer.concat([randomBytes(256 * KiB), Buffer.alloc(768 * KiB)])
  const path = file('web.unit', Buffer.alloc(32 * MiB))
  const { exitCode, err } = await gantry(writeArgs(file('web.raw', image), path))
  expect(exitCode, err).toBe(0)
  expect(err).toContain('compare its checksum')
  return { unit: readFileSync(path), image }
}

const writeArgs = (image: string, path: string): string[] => [
  'unit',
  'write',
  '--image',
  image,
  '--name',
  'web',
  '--memory',
  '8M',
  '--cpus',
  '1',
  '--file',
  path,
]

test('a unit is written, shown, verified and exported without any host', async () => {
  const { gantry, path, image } = await writtenUnit()
  const shown = await gantry(['--json', 'unit', 'show', '--file', path])
  const report = unitReportSchema.parse(JSON.parse(shown.out))
  expect(report).toMatchObject({
    kind: 'vm',
    problems: [],
    lock: { state: 'free' },
    header: { role: 'base', layout: 'disks', vm: { name: 'web' }, disks: [{ index: 0, sizeBytes: MiB }] },
  })
  const text = await gantry(['unit', 'show', '--file', path])
  expect(text.out).toMatch(/Is {11}VM unit\n/)
  expect(text.out).toContain(report.header?.disks[0]?.sha256)
  expect((await gantry(['unit', 'verify', '--file', path])).exitCode).toBe(0)

  const target = join(makeTempDir(), 'out.raw')
  expect((await gantry(['unit', 'export', '--file', path, '--to', target])).exitCode).toBe(0)
  expect(readFileSync(target).equals(image)).toBe(true)
  const again = await gantry(['unit', 'export', '--file', path, '--to', target])
  expect(again.exitCode).toBe(2)
  expect(again.err).toContain('is there already')
  const other = await gantry(['unit', 'export', '--file', path, '--to', `${target}2`, '--disk', '5'])
  expect([other.exitCode, other.err]).toEqual([3, expect.stringContaining('no disk 5')])
  expect(readdirSync(dirname(target))).toEqual(['out.raw'])
})

test('--plan of every command changes nothing and says what would be done', async () => {
  const { gantry, path } = await writtenUnit()
  const before = readFileSync(path)
  const target = join(makeTempDir(), 'out.raw')
  const verify = await gantry(['unit', 'verify', '--file', path, '--plan'])
  expect(verify.out).toContain('compare their SHA-256')
  const exported = await gantry(['unit', 'export', '--file', path, '--to', target, '--plan'])
  expect(exported.out).toContain(`into ${target}`)
  expect(existsSync(target)).toBe(false)
  const repair = await gantry(['unit', 'repair', '--file', path, '--plan'])
  expect(repair.out).toContain('there is nothing to repair')
  expect(readFileSync(path).equals(before)).toBe(true)
})

test('a changed disk fails its verification with both checksums', async () => {
  const { gantry, path } = await writtenUnit()
  const bytes = readFileSync(path)
  const at = 27 * MiB + 512
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(path, bytes)
  const { exitCode, err } = await gantry(['unit', 'verify', '--file', path])
  expect(exitCode).toBe(8)
  expect(err).toMatch(/Disk 0 is not what was written/)
  expect(err).toMatch(/SHA-256 written: [0-9a-f]{64}/)
})

describe('writing', () => {
  test('is refused on anything that is not empty, and leaves it as it was', async () => {
    const { gantry, path } = await writtenUnit()
    const before = readFileSync(path)
    const source = file('b.raw', Buffer.alloc(MiB))
    const { exitCode, err } = await gantry(writeArgs(source, path))
    expect(exitCode).toBe(2)
    expect(err).toContain('found: VM unit of web')
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('that fails leaves an empty device behind', async () => {
    const gantry = console()
    const path = file('web.unit', Buffer.alloc(32 * MiB))
    const source = file('web.raw', Buffer.alloc(MiB, 1))
    const run = await gantry(writeArgs(source, path), { env: { GANTRY_FAIL_STEP: 'unit-work/verify-0' } })
    const bytes = readFileSync(path)
    expect([run.exitCode, run.err]).toEqual([8, expect.stringContaining('Made to fail')])
    expect(bytes.subarray(0, 2 * MiB).every((byte) => byte === 0)).toBe(true)
    expect(bytes.subarray(-MiB).every((byte) => byte === 0)).toBe(true)
  })
})

describe('repair', () => {
  test('shows its writes, asks, does them; without a person it must be told yes', async () => {
    const { gantry, path } = await writtenUnit()
    const whole = readFileSync(path)
    const damaged = Buffer.from(whole)
    damaged.fill(0, 0, 34 * 512)
    writeFileSync(path, damaged)
    const shown = await gantry(['unit', 'show', '--file', path])
    expect(shown.exitCode).toBe(8)
    expect(shown.out).toContain('DAMAGED unit')

    const unasked = await gantry(['unit', 'repair', '--file', path])
    expect(unasked.exitCode).toBe(2)
    expect(unasked.err).toContain('primary GPT header')
    const refused = await gantry(['unit', 'repair', '--file', path], { answers: ['n'] })
    expect(refused.exitCode).toBe(130)
    expect(readFileSync(path).equals(damaged)).toBe(true)

    const done = await gantry(['unit', 'repair', '--file', path], { answers: ['y'] })
    expect(done.exitCode).toBe(0)
    expect(readFileSync(path).equals(whole)).toBe(true)
    expect((await gantry(['unit', 'repair', '--file', path])).out).toContain('Nothing is damaged')
  })

  test('of a file that is no unit is refused', async () => {
    const { exitCode, err } = await console()([
      'unit',
      'repair',
      '--file',
      file('x', Buffer.alloc(MiB)),
      '--yes',
    ])
    expect([exitCode, err]).toEqual([3, expect.stringContaining('There is no unit on it')])
  })
})

describe('B13: the lock', () => {
  test('is taken, shown with owner and age, and freed', async () => {
    const { gantry, path } = await writtenUnit()
    const taken = await gantry(['unit', 'lock', '--file', path])
    expect(taken.exitCode).toBe(0)
    expect(taken.err).toContain('no COMPARE AND WRITE')
    expect((await gantry(['unit', 'show', '--file', path])).out).toMatch(/Lock {9}held by \S+, for \d/)
    expect((await gantry(['unit', 'lock', '--file', path])).exitCode).toBe(0)
    expect((await gantry(['unit', 'unlock', '--file', path])).out).toContain('It is free now')
  })

  test('of another is refused with its owner, and broken only on the user’s word', async () => {
    const { gantry, path } = await writtenUnit()
    const bytes = readFileSync(path)
    const bootId = '00112233-4455-4677-8899-aabbccddeeff'
    bytes.set(
      encodeLockRecord({ owner: 'kvm9', bootId, takenAtMs: Date.now() - 3_700_000 }),
      MiB + 1020 * KiB,
    )
    writeFileSync(path, bytes)
    const refused = await gantry(['unit', 'lock', '--file', path])
    expect([refused.exitCode, refused.err]).toEqual([
      4,
      expect.stringMatching(/locked by kvm9, for 1 h 01 min/),
    ])
    expect((await gantry(['unit', 'unlock', '--file', path])).exitCode).toBe(4)
    expect((await gantry(['unit', 'unlock', '--file', path, '--break'])).exitCode).toBe(2)
    const asked = await gantry(['unit', 'unlock', '--file', path, '--break'], { answers: ['y'] })
    expect(asked.questions[0]).toMatch(/held by kvm9, for 1 h 01 min/)
    expect(asked.exitCode).toBe(0)
    expect((await gantry(['unit', 'lock', '--file', path])).exitCode).toBe(0)
  })
})

test('B12: a scan of files tells VMs, damaged units and others apart and goes on behind one that cannot be read', async () => {
  const { gantry, path } = await writtenUnit()
  const damaged = file('damaged', readFileSync(path).fill(0, 0, MiB + MiB))
  const other = file('other', Buffer.alloc(MiB))
  writeFileSync(other, Buffer.concat([Buffer.from('XFSB'), Buffer.alloc(MiB - 4)]))
  const missing = join(makeTempDir(), 'none')
  const run = await gantry([
    '--json',
    'unit',
    'scan',
    ...[path, damaged, missing, other].flatMap((one) => ['--file', one]),
  ])
  expect(run.exitCode).toBe(0)
  expect(JSON.parse(run.out)).toMatchObject({
    luns: [
      { id: path, kind: 'vm', vmName: 'web' },
      { id: damaged, kind: 'damaged' },
      { id: missing, error: { code: 'not-found' } },
      { id: other, kind: 'other', content: ['XFS file system'] },
    ],
    vms: [{ name: 'web', base: [path], secondaries: [] }],
  })
})

test('a truncated unit is damaged and says so', async () => {
  const { gantry, path } = await writtenUnit()
  truncateSync(path, 10 * MiB)
  const { exitCode, out } = await gantry(['unit', 'show', '--file', path])
  expect([exitCode, out]).toEqual([8, expect.stringMatching(/It is cut off/)])
})

test('what the contract answers is shown in full', async () => {
  const shown = await runGantry(['unit', 'show', '--file', '/srv/web.img'])
  for (const text of [
    'serial SN-1',
    'naa.6001405',
    'generation 3',
    'held by kvm1',
    'disk 1 is on naa',
    'backup GPT',
  ])
    expect(shown.out).toContain(text)
  const scanned = await runGantry(['unit', 'scan', '--portal', '192.0.2.10'])
  for (const text of [
    'DAMAGED unit',
    'an EFI system partition',
    'XFS',
    'reserved by another',
    'does not admit',
    'No LUN with this identity',
  ])
    expect(scanned.out).toContain(text)
})

describe('where the unit is', () => {
  const lun = ['--portal', '192.0.2.10:3260', '--target', 'iqn.2026-11.lab:web', '--lun', '3']
  test.each<[string, string[]]>([
    ['nothing', []],
    ['both', ['--file', '/x', ...lun]],
    ['a portal without a target', ['--portal', '192.0.2.10']],
    ['a secret without a name', [...lun, '--chap-secret-env', 'HOME']],
    ['a variable that is not there', [...lun, '--chap-user', 'lab', '--chap-secret-env', 'NO_SUCH']],
  ])('%s is wrong input', async (_, args) => {
    expect((await runGantry(['unit', 'show', ...args], { env: { HOME: '/' } })).exitCode).toBe(2)
  })

  test('a LUN, with the name of the variable and never its value', async () => {
    const args = [...lun, '--chap-user', 'lab', '--chap-secret-env', 'CHAP']
    const run = await runGantry(['unit', 'show', ...args], { env: { CHAP: 'canary-secret' } })
    expect(run.inputOf('units.show')).toEqual({
      device: {
        kind: 'iscsi',
        portal: '192.0.2.10:3260',
        target: 'iqn.2026-11.lab:web',
        lun: 3,
        chap: { user: 'lab', secret: { from: 'env', variable: 'CHAP' } },
      },
    })
    expect(JSON.stringify(run.inputOf('units.show'))).not.toContain('canary')
  })
})
