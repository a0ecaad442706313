import { afterAll, beforeAll, expect, test } from 'vitest'
import { inventoryCalls } from '#shared/contract/inventory.ts'
import { describeLab, theLab } from './describe-lab.ts'
import { GantryCommand, guestOptions, sshOptions } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
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

describeLab('the guest as a second host, with an initiator of its kernel', () => {
  let lab: Lab
  let gantry: GantryCommand

  // The first time on a computer the guest's disk is made.
  beforeAll(async () => {
    lab = theLab()
    await lab.ensureGuest()
    await makeLastingFolders(lab)
    gantry = new GantryCommand()
    await gantry.addLab(lab)
  }, 1_500_000)
  // Of a test that failed; otherwise nothing of it is there any more.
  afterAll(async () => {
    await gantry.run(['decommission', 'here', 'there', 'moved', '--yes'])
    for (const name of ['both', 'from-guest'])
      await gantry.run(['containers', 'delete', `array/vol1/${name}`, '--yes'])
    gantry.dispose()
  })

  test('it is added with the portal as it sees it; the probe finds open-iscsi and its own initiator name', async () => {
    const added = await ask(gantry, inventoryCalls['inventory.addHost'].output, [
      ...['host', 'add', 'guest', ...sshOptions(lab, 'guest'), ...guestOptions(lab)],
    ])
    expect(added).toMatchObject({
      osType: 'linux',
      attachMethod: 'open-iscsi',
      initiatorName: lab.state.guest.iqn,
    })
    expect(added.checks.filter(({ ok }) => !ok)).toEqual([])
  })

  test('A13, A4, A15: staged on one host, deployed and up on the other, decommissioned without a trace', async () => {
    const container = 'array/vol1/both'
    const file = 'containers/both.ctr'
    await runJobs(gantry, ['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', container])
    const before = await observeDevices(lab)
    const digest = await hashOnArray(lab, file)

    const onBoth = ['--start', '--wait', 'serial:VMREADY', '--wait-timeout', '2m']
    await runJobs(gantry, ['deploy', container, '--host', 'guest', '--name-pattern', 'there', ...onBoth])
    await runJobs(gantry, ['deploy', container, '--host', 'host', '--name-pattern', 'here', ...onBoth])
    const deployments = await listDeployments(gantry)
    expect(deployments.map(({ name, host, initiator }) => ({ name, host, initiator }))).toEqual([
      { name: 'here', host: 'host', initiator: lab.state.host.iqn },
      { name: 'there', host: 'guest', initiator: lab.state.guest.iqn },
    ])
    await expectUp(lab, deployments)
    const luns = await listLuns(gantry)
    for (const { lun, initiator } of deployments)
      expect(luns.find(({ serial }) => serial === lun.serial)).toMatchObject({
        mappedTo: [initiator],
        sessions: [initiator],
      })

    await runJobs(gantry, ['decommission', 'here', 'there', '--yes'])
    const left = await lastingDifferences(lab, before, { patienceMs: 5000 })
    expect(
      left.filter((line) => !/(vol1\/(clones|snapshots)|gantry\/luns) is new: folder$/.test(line)),
    ).toEqual([])
    expect(await hashOnArray(lab, file)).toBe(digest)
    await gantry.ok(['containers', 'delete', container, '--yes'])
  })

  test('A13, A5: staged on the guest, by the kernel’s own initiator, deployed on the other host', async () => {
    const container = 'array/vol1/from-guest'
    const source = ['--image', lab.state.tiny.raw, '--memory', '32M']
    await runJobs(gantry, ['stage', ...source, '--host', 'guest', '--to', container])
    expect(await showContainer(gantry, container)).toMatchObject({ state: 'ok', problems: [] })
    expect(await listLuns(gantry)).toEqual([])
    await runJobs(gantry, [
      ...['deploy', container, '--host', 'host', '--name-pattern', 'moved'],
      ...['--start', '--wait', 'serial:VMREADY'],
    ])
    await expectUp(lab, await listDeployments(gantry), { knowsName: false })
    await runJobs(gantry, ['decommission', 'moved', '--yes'])
    await gantry.ok(['containers', 'delete', container, '--yes'])
  })
})
