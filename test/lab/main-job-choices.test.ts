import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { inventoryCalls } from '#shared/contract/inventory.ts'
import { plannedJobSchema } from '#shared/contract/operations.ts'
import { MiB } from '#shared/units/bytes.ts'
import { inquire } from '#test/contract/iscsi-initiator.ts'
import { describeLab, theLab } from './describe-lab.ts'
import { waitFor } from './exec.ts'
import { GantryCommand, arrayOptions, hostOptions, sshOptions } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { DeviceInventory } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import {
  ask,
  expectUp,
  hashOnArray,
  listDeployments,
  makeLastingFolders,
  listLuns,
  runJobs,
  showContainer,
} from './main-job-support.ts'

const devices = { only: ['array', 'host'] } as const
const container = 'array/vol1/choices'
const file = 'containers/choices.ctr'
const upAndReady = ['--host', 'host', '--start', '--wait', 'serial:VMREADY']

describeLab('choices and single steps of the gantry command', () => {
  let lab: Lab
  let gantry: GantryCommand
  let atFirst: DeviceInventory
  let staged: DeviceInventory

  beforeAll(async () => {
    lab = theLab()
    await makeLastingFolders(lab)
    gantry = new GantryCommand()
    await gantry.addLab(lab)
    await gantry.ok(['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', container])
    staged = await observeDevices(lab, devices)
  })
  afterAll(async () => {
    await gantry.run(['decommission', 'direct', '--yes'])
    await gantry.ok(['containers', 'delete', container, '--yes'])
    gantry.dispose()
  })

  /** It ends with this exit code, says this, and no device has changed. */
  async function expectRefused(args: readonly string[], code: number, words: RegExp, by = gantry) {
    const before = await observeDevices(lab, devices)
    const result = await by.run(args)
    expect(result).toMatchObject({ code, stderr: expect.stringMatching(words) })
    expect(await lastingDifferences(lab, before, devices)).toEqual([])
  }

  test('A12: direct use must be confirmed; the VM then runs on the container itself, which outlives it', async () => {
    const direct = (name: string, ...more: string[]): string[] => [
      ...['deploy', container, ...upAndReady, '--direct', '--name-pattern', name, ...more],
    ]
    await expectRefused(direct('direct'), 2, /change container array\/vol1\/choices itself[^]*--yes/)
    await expectRefused(direct('direct-{n}', '--count', '2', '--yes'), 2, /only once/)

    const digest = await hashOnArray(lab, file)
    await runJobs(gantry, direct('direct', '--yes'))
    const [deployment, ...others] = await listDeployments(gantry)
    if (deployment === undefined) throw new Error('no deployment')
    expect(others).toEqual([])
    expect(deployment).toMatchObject({ backing: { kind: 'container', name: 'choices' } })
    expect(deployment.snapshot).toBeUndefined()
    await expectUp(lab, [deployment])
    await waitFor('the VM to write', async () => (await hashOnArray(lab, file)) !== digest, 60_000)
    await expectRefused(direct('again', '--yes'), 4, /under another LUN/)

    await runJobs(gantry, ['decommission', 'direct', '--yes'])
    expect(await lastingDifferences(lab, staged, devices)).toEqual([])
    expect(await showContainer(gantry, container)).toMatchObject({ state: 'ok', problems: [] })
  })

  test('A13: a container for another OS type is refused with the reason; staging it warns before', async () => {
    const stage = ['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--os', 'windows']
    const to = ['--to', 'array/vol1/for-windows']
    const [plan] = await ask(gantry, z.array(plannedJobSchema), [...stage, ...to, '--plan'])
    expect(plan?.warnings.join()).toContain('will not be able to deploy it')
    await runJobs(gantry, [...stage, ...to])
    try {
      const deploy = ['deploy', 'array/vol1/for-windows', '--host', 'host']
      await expectRefused(deploy, 2, /staged for hosts of type windows, and this host is linux/)
    } finally {
      await gantry.ok(['containers', 'delete', 'array/vol1/for-windows', '--yes'])
    }
  })

  test('A17: the limit of LUNs is shown, counted against, and refused before it is exceeded', async () => {
    const limited = new GantryCommand()
    try {
      const add = ['array', 'add', 'array', ...sshOptions(lab, 'array'), ...arrayOptions(lab)]
      await limited.ok([...add, '--lun-limit', '2'])
      await limited.ok(['host', 'add', 'host', ...sshOptions(lab, 'host'), ...hostOptions(lab)])
      const deploy = ['deploy', container, '--host', 'host', '--name-pattern', 'limit-{n}', '--count']
      await expectRefused([...deploy, '3'], 8, /cannot hold 3 more LUN/, limited)
      await runJobs(limited, [...deploy, '2'])
      const volumes = await ask(limited, inventoryCalls['inventory.listVolumes'].output, [
        ...['array', 'volumes', 'array', '--refresh'],
      ])
      expect(volumes.find(({ name }) => name === 'vol1')).toMatchObject({ lunCount: 2, lunLimit: 2 })
      expect((await limited.ok(['array', 'volumes', 'array'])).stdout).toMatch(/^vol1 .* 2 of 2 /m)
      await expectRefused([...deploy, '1'], 8, /cannot hold 1 more LUN/, limited)
      const stage = ['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', 'array/vol1/third']
      await expectRefused(stage, 8, /cannot hold 1 more LUN/, limited)
      await runJobs(limited, ['decommission', 'limit-1', 'limit-2', '--yes'])
      expect(await lastingDifferences(lab, staged, devices)).toEqual([])
    } finally {
      limited.dispose()
    }
  })

  test('A18, A2-A4, A7: each step by itself: container, LUN, map, unmap, destroy, delete', async () => {
    const stranger = 'iqn.2026-11.gantry.lab:stranger'
    const { iqn } = lab.state.host
    atFirst = await observeDevices(lab, devices)
    await runJobs(gantry, ['containers', 'create', 'array/vol1/steps', '--size', '16M'])
    const listed = await ask(gantry, inventoryCalls['inventory.listContainers'].output, [
      ...['containers', 'list', '--array', 'array', '--refresh'],
    ])
    expect(listed.find(({ name }) => name === 'steps')).toMatchObject({ sizeBytes: 16 * MiB, state: 'empty' })
    await expectRefused(['deploy', 'array/vol1/steps', '--host', 'host'], 2, /Nothing is staged/)

    const create = ['lun', 'create', 'array/steps-lun', '--volume', 'vol1', '--container', 'steps']
    const before = await observeDevices(lab, devices)
    await ask(gantry, z.array(plannedJobSchema), [...create, '--plan'])
    expect(await lastingDifferences(lab, before, devices)).toEqual([])
    await runJobs(gantry, create)
    const [lun] = await listLuns(gantry)
    if (lun === undefined) throw new Error('no LUN')
    expect(lun).toMatchObject({ name: 'steps-lun', sizeBytes: 16 * MiB, mappedTo: [], ours: true })
    const address = { ...lun, portal: lab.state.array.portal }
    expect(await inquire(address, iqn), 'mapped to nobody').toBeUndefined()

    await runJobs(gantry, ['lun', 'map', 'array/steps-lun', '--host', 'host'])
    expect(await inquire(address, iqn)).toMatchObject({ serial: lun.serial })
    expect(await inquire(address, stranger), 'another initiator').toBeUndefined()
    await runsUndone(['lun', 'map', 'array/steps-lun', '--initiator', stranger], /already|alone|mapped/)
    expect((await listLuns(gantry))[0]?.mappedTo).toEqual([iqn])
    await runsUndone(['containers', 'delete', 'array/vol1/steps', '--yes'], /LUN is made/)

    await runJobs(gantry, ['lun', 'unmap', 'array/steps-lun', '--host', 'host'])
    expect(await inquire(address, iqn), 'unmapped').toBeUndefined()
    await expectRefused(['lun', 'destroy', 'array/steps-lun'], 2, /--yes/)
    await runJobs(gantry, ['lun', 'destroy', 'array/steps-lun', '--yes'])
    expect(await listLuns(gantry)).toEqual([])
    await runJobs(gantry, ['containers', 'delete', 'array/vol1/steps', '--yes'])
    expect(await lastingDifferences(lab, atFirst, devices)).toEqual([])
  })

  /** The array itself says no: the job fails with its words, and no device has changed. */
  async function runsUndone(args: readonly string[], words: RegExp): Promise<void> {
    const before = await observeDevices(lab, devices)
    const result = await gantry.run(args)
    expect(result.code).not.toBe(0)
    expect(result.stderr).toMatch(words)
    expect(await lastingDifferences(lab, before, devices)).toEqual([])
  }
})
