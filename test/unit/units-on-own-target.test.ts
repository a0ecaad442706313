import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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
