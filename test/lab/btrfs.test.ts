import { afterAll, beforeAll, expect, test } from 'vitest'
import { inventoryCalls } from '#shared/contract/inventory.ts'
import { MiB } from '#shared/units/bytes.ts'
import { describeLab, theLab } from './describe-lab.ts'
import { GantryCommand } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { DeviceInventory } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import { ask, expectUp, listDeployments, runJobs, showContainer } from './main-job-support.ts'

const container = 'array/btrfs/story'
const names = ['btrfs-1', 'btrfs-2']
const observed = { only: ['array', 'host'], hash: true } as const

describeLab('the main job with a volume on btrfs', () => {
  let lab: Lab
  let gantry: GantryCommand
  let staged: DeviceInventory

  beforeAll(async () => {
    lab = theLab()
    await lab.host.machine.run(`mkdir -p ${lab.state.host.stateDir}/luns`)
    gantry = new GantryCommand()
    await gantry.addLab(lab)
  })
  afterAll(async () => {
    await gantry.run(['decommission', ...names, '--yes'])
    await gantry.run(['containers', 'delete', container, '--yes'])
    gantry.dispose()
  })

  /** Bytes that the container shares with nothing. */
  const uniqueBytes = async (): Promise<number> =>
    (await showContainer(gantry, container)).facts.uniqueBytes ?? Number.NaN

  test('A1-A8: staged; all of it takes room of its own', async () => {
    await runJobs(gantry, [
      ...['stage', '--domain', lab.state.template.domain, '--host', 'host', '--to', container],
    ])
    const volumes = await ask(gantry, inventoryCalls['inventory.listVolumes'].output, [
      ...['array', 'volumes', 'array', '--refresh'],
    ])
    expect(volumes.find(({ name }) => name === 'btrfs')).toMatchObject({
      fileSystem: 'btrfs',
      canReflink: true,
    })
    expect(await showContainer(gantry, container)).toMatchObject({ state: 'ok', problems: [] })
    expect(await uniqueBytes()).toBeGreaterThan(32 * MiB)
    staged = await observeDevices(lab, observed)
  })

  test('A9-A12: two VMs run from clones that share its blocks; the container is the same to the byte', async () => {
    await runJobs(gantry, [
      ...['deploy', container, '--host', 'host', '--count', '2', '--name-pattern', 'btrfs-{n}'],
      ...['--start', '--wait', 'serial:VMREADY'],
    ])
    await expectUp(lab, await listDeployments(gantry))
    expect(await uniqueBytes()).toBe(0)
    const clones = `${lab.state.array.volumes.btrfs}/clones`
    const { stdout } = await lab.array.machine.run(
      `sync ${clones}/*; btrfs filesystem du --raw ${clones}/*.img`,
    )
    const exclusive = stdout.split('\n').flatMap((line) => /^ *\d+ +(\d+) /.exec(line)?.[1] ?? [])
    expect(exclusive).toHaveLength(2)
    for (const bytes of exclusive) {
      expect(Number(bytes), 'what the VM has written').toBeGreaterThan(0)
      expect(Number(bytes)).toBeLessThan(8 * MiB)
    }
  })

  test('A15: decommissioned; everything is as after staging, to the byte', async () => {
    await runJobs(gantry, ['decommission', ...names, '--yes'])
    const left = await lastingDifferences(lab, staged, observed)
    expect(left.filter((line) => !/btrfs\/(clones|snapshots) is new: folder$/.test(line))).toEqual([])
    expect(await uniqueBytes()).toBeGreaterThan(32 * MiB)
  })
})
