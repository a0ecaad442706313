import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeLab, theLab } from './describe-lab.ts'
import { GantryCommand } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { DeviceInventory } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import { consoleOf, listDeployments, makeLastingFolders, runJobs } from './main-job-support.ts'

const container = 'array/vol1/uefi'
const names = ['uefi-1', 'uefi-2']
const devices = { only: ['array', 'host'] } as const
const virsh = 'virsh -q -c qemu:///system'

/** A Debian kernel that UEFI starts from the disk's EFI system partition, with Debian's qemu-guest-agent. */
describeLab('VMs with UEFI and a guest agent', () => {
  let lab: Lab
  let gantry: GantryCommand
  let staged: DeviceInventory

  beforeAll(async () => {
    lab = theLab()
    await makeLastingFolders(lab)
    gantry = new GantryCommand()
    await gantry.addLab(lab)
    const source = ['--image', lab.state.uefi.raw, '--memory', '256M', '--firmware', 'uefi']
    await runJobs(gantry, ['stage', ...source, '--host', 'host', '--to', container])
    staged = await observeDevices(lab, devices)
  })
  afterAll(async () => {
    await gantry.run(['decommission', ...names, '--yes'])
    await gantry.run(['containers', 'delete', container, '--yes'])
    gantry.dispose()
  })

  /** The files of UEFI variables that the host has: one for each VM that has been started with UEFI. */
  async function listVariables(): Promise<string[]> {
    const { stdout } = await lab.host.machine.run('ls /var/lib/libvirt/qemu/nvram 2> /dev/null || true')
    return stdout.split('\n').filter((name) => name !== '')
  }

  test('A9, A11: deployed, started by UEFI, and waited for until the agent answers', async () => {
    expect(await listVariables()).toEqual([])
    const count = ['--count', '2', '--name-pattern', 'uefi-{n}']
    const jobs = await runJobs(gantry, [
      ...['deploy', container, '--host', 'host', ...count, '--start', '--wait', 'agent'],
    ])
    for (const { log } of jobs) expect(log.some(({ stepId }) => stepId === 'wait')).toBe(true)

    const deployments = await listDeployments(gantry)
    expect(deployments.map(({ name }) => name)).toEqual(names)
    for (const deployment of deployments) {
      const { uuid } = deployment.vm
      expect(await consoleOf(lab, deployment)).toContain(`VMREADY ${uuid} firmware=uefi\n`)
      const ping = `${virsh} qemu-agent-command ${uuid} '{"execute":"guest-get-osinfo"}'`
      expect((await lab.host.machine.run(ping)).stdout).toContain('kernel-release')
    }
    expect(await listVariables(), 'each has variables of its own').toEqual(
      names.map((name) => `${name}_VARS.fd`),
    )
  })

  test('A15: decommissioned; their UEFI variables are gone with them', async () => {
    await runJobs(gantry, ['decommission', ...names, '--yes'])
    expect(await listVariables()).toEqual([])
    expect(await lastingDifferences(lab, staged, devices)).toEqual([])
  })
})
