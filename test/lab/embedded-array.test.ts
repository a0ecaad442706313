import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inventoryCalls } from '#shared/contract/inventory.ts'
import { describeLab, theLab } from './describe-lab.ts'
import { GantryCommand, guestOptions, sshOptions } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import { ask, expectUp, hashFile, listDeployments, makeLastingFolders, runJobs } from './main-job-support.ts'

describeLab('the array of this computer, for real hosts', () => {
  let lab: Lab
  let gantry: GantryCommand
  let folder: string

  beforeAll(async () => {
    lab = theLab()
    await lab.ensureGuest()
    await makeLastingFolders(lab)
    folder = mkdtempSync(join(tmpdir(), 'gantry-laptop-'))
    mkdirSync(join(folder, 'vol1'))
    gantry = new GantryCommand()
    await gantry.addLab(lab)
    await gantry.ok([
      ...['array', 'add', 'laptop', '--driver', 'embedded', '--volume', `vol1=${join(folder, 'vol1')}`],
    ])
    const arrays = await ask(gantry, inventoryCalls['inventory.listArrays'].output, ['array', 'list'])
    const laptop = arrays.find(({ config }) => config.name === 'laptop')
    const port = /\d+$/.exec(laptop?.config.settings.portal ?? '')?.[0]
    const asSeen = lab.state.guest.portalAsSeen.replace(/:\d+$/, `:${port}`)
    await gantry.ok([
      ...['host', 'add', 'guest', ...sshOptions(lab, 'guest'), ...guestOptions(lab)],
      ...['--portal', `laptop=${asSeen}`],
    ])
  }, 1_500_000)
  afterAll(async () => {
    await gantry.run(['decommission', 'over-kernel', 'over-library', '--yes'])
    await gantry.run(['array', 'stop', 'laptop', '--force'])
    gantry.dispose()
    rmSync(folder, { recursive: true, force: true })
  })

  test('A1-A15: staged by a kernel’s initiator, up on two hosts at once, decommissioned without a trace', async () => {
    const container = 'laptop/vol1/carried'
    const before = await observeDevices(lab)
    await runJobs(gantry, [
      ...['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', 'laptop/vol1/other'],
    ])
    await runJobs(gantry, [
      ...['stage', '--image', lab.state.tiny.raw, '--memory', '32M', '--host', 'guest', '--to', container],
    ])
    const digest = await hashFile(join(folder, 'vol1/containers/carried.ctr'))

    const up = ['--start', '--wait', 'serial:VMREADY', '--wait-timeout', '2m']
    await runJobs(gantry, ['deploy', container, '--host', 'guest', '--name-pattern', 'over-kernel', ...up])
    await runJobs(gantry, ['deploy', container, '--host', 'host', '--name-pattern', 'over-library', ...up])
    const deployments = await listDeployments(gantry)
    expect(deployments.map(({ name, initiator }) => ({ name, initiator }))).toEqual([
      { name: 'over-kernel', initiator: lab.state.guest.iqn },
      { name: 'over-library', initiator: lab.state.host.iqn },
    ])
    await expectUp(lab, deployments, { knowsName: false })

    await runJobs(gantry, ['decommission', 'over-kernel', 'over-library', '--yes'])
    const left = await lastingDifferences(lab, before, { patienceMs: 5000 })
    expect(left.filter((line) => !line.endsWith('gantry/luns is new: folder'))).toEqual([])
    expect(await hashFile(join(folder, 'vol1/containers/carried.ctr'))).toBe(digest)
    expect(await ask(gantry, inventoryCalls['inventory.listLuns'].output, ['lun', 'list', 'laptop'])).toEqual(
      [],
    )
  })
})
