import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { plannedJobSchema } from '#shared/contract/operations.ts'
import { describeLab, theLab } from './describe-lab.ts'
import { waitFor } from './exec.ts'
import { GantryCommand } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { DeviceInventory } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import { ask, consoleOf, listDeployments, makeLastingFolders, runJobs } from './main-job-support.ts'

const container = 'array/vol1/restarts'
const devices = { only: ['array', 'host'] } as const
const virsh = 'virsh -q -c qemu:///system'
const restore = ['deployments', 'restore', '--host', 'host']

describeLab('deployments of a host that was restarted', () => {
  let lab: Lab
  let gantry: GantryCommand
  let staged: DeviceInventory
  let running: DeviceInventory

  beforeAll(async () => {
    lab = theLab()
    await makeLastingFolders(lab)
    gantry = new GantryCommand()
    await gantry.addLab(lab)
    await runJobs(gantry, ['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', container])
    staged = await observeDevices(lab, devices)
    const names = ['--name-pattern', 'up-{n}', '--count', '3']
    await runJobs(gantry, [
      ...['deploy', container, '--host', 'host', ...names, '--start', '--wait', 'serial:VMREADY'],
    ])
    running = await observeDevices(lab, devices)
  })
  afterAll(async () => {
    await gantry.run(['decommission', 'up-1', 'up-2', 'up-3', '--yes'])
    await gantry.run(['containers', 'delete', container, '--yes'])
    gantry.dispose()
  })

  /** The ids of the steps of each job. */
  async function planOf(args: readonly string[]): Promise<Record<string, string[]>> {
    const plans = await ask(gantry, z.array(plannedJobSchema), [...args, '--plan'])
    return Object.fromEntries(plans.map(({ title, steps }) => [title, steps.map(({ id }) => id)]))
  }
  const addressesOf = async (name: string): Promise<string> =>
    (await lab.host.machine.run(`${virsh} domiflist ${name} | awk '{ print $5 }'`)).stdout
  const bootsOf = async (name: string): Promise<number> => {
    const deployment = (await listDeployments(gantry)).find((one) => one.name === name)
    if (deployment === undefined) throw new Error(`${name} is not deployed`)
    const line = () => consoleOf(lab, deployment).then((text) => /VMREADY .*boots=(\d+)/.exec(text)?.[1])
    return Number(await waitFor(`${name} to be up`, line, 60_000))
  }

  test('nothing is planned while they lack nothing; whose deployments they are must be said', async () => {
    expect(await planOf(restore)).toEqual({})
    const { stdout } = await gantry.ok(restore)
    expect(stdout).toBe('There was nothing to do.\n')
    const { code, stderr } = await gantry.run(['deployments', 'restore'])
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('--host') })
  })

  test('after a loss of power each is attached, mounted, registered where that was lost, and started', async () => {
    const [boots, addresses] = await Promise.all([bootsOf('up-1'), addressesOf('up-2')])
    await lab.host.machine.stop()
    await lab.host.start()
    await lab.host.machine.run(`${virsh} undefine up-2`)

    const before = await observeDevices(lab, devices)
    const all = {
      'Bring up-1 up again on host host': ['attach', 'start'],
      'Bring up-2 up again on host host': ['attach', 'define', 'start'],
      'Bring up-3 up again on host host': ['attach', 'start'],
    }
    expect(await planOf(restore)).toEqual(all)
    expect(await planOf(['deployments', 'restore', 'up-3', '--start', 'none'])).toEqual({
      'Bring up-3 up again on host host': ['attach'],
    })
    expect(await lastingDifferences(lab, before, devices), 'a plan changes nothing').toEqual([])

    await runJobs(gantry, ['deployments', 'restore', 'up-1', 'up-2'])
    const left = await lastingDifferences(lab, running, { ...devices, patienceMs: 0 })
    // The numbers of domains are among the arguments of QEMU, and up-3 is still down.
    expect(left.filter((line) => !/qemu-system|up-3|nbd|loop|mount|\/luns\//.test(line))).toEqual([])
    expect(await addressesOf('up-2'), 'registered as it was').toBe(addresses)
    expect(await bootsOf('up-1'), 'on the disk that it had').toBe(boots + 1)
    expect(Object.keys(await planOf(restore))).toEqual(['Bring up-3 up again on host host'])
  })

  test('A15: all are decommissioned, also what was not restored, without a trace', async () => {
    await runJobs(gantry, ['decommission', 'up-1', 'up-2', 'up-3', '--yes'])
    expect(await lastingDifferences(lab, staged, devices)).toEqual([])
  })
})
