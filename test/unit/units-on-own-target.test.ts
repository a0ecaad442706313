import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { UnitReport, UnitScan } from '#shared/contract/units.ts'
import { MiB } from '#shared/units/bytes.ts'
import { RealConsole } from '#test/support/real-console.ts'
import { iqnOf, TargetBench } from '#test/support/target-bench.ts'
import { createIscsiInitiator } from '#main/transports/iscsi/initiator.ts'
import { releaseLock, takeLock } from '#main/units/unit-lock.ts'

/** The console's initiator and its target: no other program, no rights. */
const signal = new AbortController().signal
const iqn = iqnOf('web')
const initiators = ['iqn.2026-11.gantry.test:one', 'iqn.2026-11.gantry.test:two'] as const
let folder: string
let bench: TargetBench
let gantry: RealConsole
let portal: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gantry-units-'))
  gantry = new RealConsole(join(folder, 'data'))
  bench = await TargetBench.start()
  portal = `127.0.0.1:${bench.port}`
  await bench.addLun('web', { sizeBytes: 64 * MiB, initiators })
})
afterAll(async () => {
  await bench.close()
  rmSync(folder, { recursive: true, force: true })
})

const at = (): string[] => [
  '--portal',
  portal,
  '--target',
  iqn,
  '--lun',
  '1',
  '--initiator-name',
  initiators[0],
]

test('a VM goes from an image to a LUN and is found there', async () => {
  writeFileSync(join(folder, 'web.raw'), randomBytes(3 * MiB))
  const image = ['--image', join(folder, 'web.raw'), '--name', 'web', '--memory', '8M', '--cpus', '1']
  await gantry.ok(['unit', 'write', ...image, ...at(), '--zeroed'])
  await gantry.ok(['unit', 'verify', ...at()])
  expect(await gantry.json<UnitReport>(['unit', 'show', ...at()])).toMatchObject({
    kind: 'vm',
    problems: [],
    lun: { vendor: 'GANTRY', serial: expect.any(String) },
  })
  const scan = ['unit', 'scan', '--portal', portal, '--initiator-name', initiators[0]]
  const found = await gantry.json<UnitScan>(scan)
  expect(found.vms).toMatchObject([{ name: 'web', base: [`${iqn}/1`] }])
  // a stranger sees nothing at all
  const stranger = await gantry.json<UnitScan>(['unit', 'scan', '--portal', portal])
  expect(stranger).toEqual({ luns: [], vms: [], targets: [] })
})

test('B2-B4: disks on LUNs of their own, named by the base unit; undone as one', async () => {
  const login = ['--portal', portal, '--initiator-name', initiators[0]]
  const to = (name: string): string[] => [...login, '--target', iqnOf(name)]
  for (const name of ['base', 'data', 'log']) await bench.addLun(name, { sizeBytes: 32 * MiB, initiators })
  const images = ['root', 'data', 'log'].map((name) => {
    const path = join(folder, `${name}.raw`)
    writeFileSync(path, randomBytes(MiB))
    return path
  })
  const write = (...secondaries: string[]): string[] => [
    ...['unit', 'write', '--name', 'trio', '--memory', '4M', '--cpus', '1', '--zeroed', ...to('base')],
    ...images.flatMap((path) => ['--image', path]),
    ...secondaries.flatMap((text) => ['--secondary', text]),
  ]
  const apart = [`1=${iqnOf('data')}/1`, `2=${iqnOf('log')}/1`]
  const kinds = async (): Promise<unknown[]> =>
    (await gantry.json<UnitScan>(['unit', 'scan', ...login])).luns
      .filter(({ target }) => target !== iqn)
      .map(({ kind, role }) => role ?? kind)

  const failed = await gantry.run(write(...apart), { env: { GANTRY_FAIL_STEP: 'unit-work/verify-2' } })
  expect([failed.exitCode === 0, await kinds()]).toEqual([false, ['empty', 'empty', 'empty']])
  const [same, none] = await Promise.all([
    gantry.run(write(`1=${iqnOf('base')}/1`)),
    gantry.run(write(`7=${iqnOf('data')}/1`)),
  ])
  expect([same.exitCode, same.err]).toEqual([2, expect.stringContaining('the same LUN')])
  expect([none.exitCode, none.err]).toEqual([2, expect.stringContaining('is none, or is named twice')])

  await gantry.ok(write(...apart))
  expect(await kinds()).toEqual(['base', 'secondary', 'secondary'])
  const { vms } = await gantry.json<UnitScan>(['unit', 'scan', ...login])
  expect(vms.find(({ name }) => name === 'trio')).toMatchObject({
    base: [`${iqnOf('base')}/1`],
    secondaries: [
      { index: 1, luns: [`${iqnOf('data')}/1`] },
      { index: 2, luns: [`${iqnOf('log')}/1`] },
    ],
  })
  expect(vms.flatMap(({ secondaries }) => secondaries.flatMap(({ problem }) => problem ?? []))).toEqual([])
  expect((await gantry.ok(['unit', 'show', ...to('base')])).out).toMatch(/Secondary +disk 2 is on naa\./)
  expect((await gantry.ok(['unit', 'verify', ...to('base')])).err).toContain('verify that one too')
  await gantry.ok(['unit', 'verify', ...to('log')])
  const elsewhere = await gantry.run([
    'unit',
    'export',
    ...to('base'),
    '--disk',
    '1',
    '--to',
    join(folder, 'x'),
  ])
  expect([elsewhere.exitCode, elsewhere.err]).toEqual([3, expect.stringContaining('on a LUN of its own')])
  const target = join(folder, 'data.out')
  await gantry.ok(['unit', 'export', ...to('data'), '--disk', '1', '--to', target])
  expect(readFileSync(target).equals(readFileSync(images[1] ?? ''))).toBe(true)
})

test('a LUN that has grown under its unit is repaired', async () => {
  await bench.target.growLun(iqn, 96 * MiB)
  const { problems } = await gantry.json<UnitReport>(['unit', 'show', ...at()])
  expect(problems).toEqual([expect.stringMatching(/has grown/)])
  await gantry.ok(['unit', 'repair', ...at(), '--yes'])
  expect(await gantry.json<UnitReport>(['unit', 'show', ...at()])).toMatchObject({
    problems: [],
    sizeBytes: 96 * MiB,
  })
})

test('CHAP in both directions and checksums: options of the command, and a wrong secret in either direction', async () => {
  const [own, proof] = ['a secret of ours 1', "the target's proof 2"]
  bench.target.setChap({ initiator: { name: 'lab', secret: own }, target: { name: 'lab', secret: proof } })
  const env = { OWN: own, PROOF: proof, WRONG: 'a wrong secret 12345' }
  const login = (secret: string, target: string): string[] => [
    ...['--chap-user', 'lab', '--chap-secret-env', secret],
    ...['--target-chap-user', 'lab', '--target-chap-secret-env', target],
  ]
  const show = (secret: string, target: string): ReturnType<RealConsole['run']> =>
    gantry.run(['unit', 'show', ...at(), ...login(secret, target), '--digests', 'both'], { env })
  try {
    const right = await show('OWN', 'PROOF')
    expect([right.exitCode, right.out], right.err).toEqual([0, expect.stringContaining('VM unit')])
    const scan = ['unit', 'scan', '--portal', portal, '--initiator-name', initiators[0]]
    const scanned = await gantry.ok([...scan, ...login('OWN', 'PROOF')], { env })
    expect(scanned.out).toContain('VM unit: web')
    const [refused, unproven, none] = await Promise.all([
      show('WRONG', 'PROOF'),
      show('OWN', 'WRONG'),
      gantry.run(['unit', 'show', ...at(), '--target-chap-user', 'lab'], { env }),
    ])
    expect([refused.exitCode, refused.err]).toEqual([6, expect.stringMatching(/refused|rejected/)])
    expect([unproven.exitCode, unproven.err]).toEqual([
      6,
      expect.stringContaining('did not prove that it knows its CHAP secret'),
    ])
    expect([none.exitCode, none.err]).toEqual([2, expect.stringContaining('--chap-user')])
    for (const { out, err } of [right, scanned, refused, unproven])
      for (const secret of Object.values(env)) expect(out + err).not.toContain(secret)
  } finally {
    bench.target.setChap(undefined)
  }
})

test('B13: of two that take the lock at the same moment, COMPARE AND WRITE lets one, every time', async () => {
  const consoles = initiators.map((name) => createIscsiInitiator(name))
  const devices = await Promise.all(consoles.map((one) => one.open({ portal, target: iqn, lun: 1 }, signal)))
  const bootId = '00112233-4455-4677-8899-aabbccddeeff'
  const options = { signal, now: () => 1000 }
  for (let round = 0; round < 10; round++) {
    const taken = await Promise.allSettled(
      devices.map((device, index) => takeLock(device, { owner: `kvm${index}`, bootId }, options)),
    )
    const won = taken.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    expect(won).toMatchObject([{ method: 'atomic' }])
    expect(taken.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'busy' } })
    if (devices[0] !== undefined) await releaseLock(devices[0], 'anyone', options)
  }
  await Promise.all(devices.map((device) => device.close()))
  await Promise.all(consoles.map((one) => one.close()))

  const taken = await gantry.ok(['unit', 'lock', ...at()])
  expect(taken.err).toBe('')
  expect((await gantry.run(['unit', 'unlock', ...at()])).out).toContain('It is free now')
})
