import { afterAll, beforeAll, expect, test } from 'vitest'
import { exitCodes } from '#shared/errors/user-text.ts'
import { describeLab, theLab } from '../describe-lab.ts'
import { GantryCommand } from '../gantry-command.ts'
import { lastingDifferences, observeDevices } from '../inventory-of-devices.ts'
import type { DeviceInventory } from '../inventory-of-devices.ts'

/** This computer as a host of a real array (tgt over SSH), and what a host of the other kind says to each layout. */
describeLab('containers of disks on a real array', () => {
  const gantry = new GantryCommand()
  let before: DeviceInventory

  beforeAll(async () => {
    const lab = theLab()
    await gantry.addLab(lab)
    await gantry.ok(['host', 'add', 'here', '--driver', 'embedded', '--accelerator', 'emulation'])
    await gantry.ok([
      ...['stage', '--layout', 'disks', '--image', lab.state.tiny.raw, '--memory', '32M'],
      ...['--to', 'array/vol1/disks'],
    ])
    before = await observeDevices(lab)
  })
  afterAll(async () => {
    await gantry.run(['decommission', 'disks-1', 'disks-2', '--yes'])
    await gantry.run(['containers', 'delete', 'array/vol1/disks', '--yes'])
    await gantry.run(['containers', 'delete', 'array/vol1/files', '--yes'])
    gantry.dispose()
  })

  test('A1-A4, A8: staged without any host; the array has no LUN of it; the container says what it is', async () => {
    const shown = await gantry.json<{
      header: { layout: string; disks: { partition: number; sha256: string }[]; fileSystem?: object }
    }>(['containers', 'show', 'array/vol1/disks'])
    expect(shown.header.layout).toBe('disks')
    expect(shown.header.fileSystem).toBeUndefined()
    expect(shown.header.disks).toEqual([
      expect.objectContaining({ sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string }),
    ])
    expect(await gantry.json(['lun', 'list', 'array'])).toEqual([])
  })

  test('A9-A12, A15, B6: two VMs boot from their clones, their disk being the partition alone; nothing is left', async () => {
    await gantry.ok([
      ...['deploy', 'disks', '--host', 'here', '--count', '2', '--verify', '--start'],
      ...['--wait', 'serial:VMREADY {name} {uuid} boots=01'],
    ])
    await gantry.ok(['decommission', 'disks-1', 'disks-2', '--yes'])
    const left = await lastingDifferences(theLab(), before)
    // the first deployment makes the volume's folders
    expect(left.filter((line) => !line.endsWith(' is new: folder'))).toEqual([])
  })

  test('a host that mounts refuses a container of disks, and this computer one of files, each with what to do', async () => {
    const onLibvirt = await gantry.run(['deploy', 'disks', '--host', 'host'])
    expect(onLibvirt.code).toBe(exitCodes['not-supported'])
    expect(onLibvirt.stderr).toMatch(/does not run VMs from containers of disks[^]*--driver embedded/)
    await gantry.ok([
      ...['stage', '--domain', theLab().state.tiny.domain, '--host', 'host', '--to', 'array/vol1/files'],
    ])
    const onHere = await gantry.run(['deploy', 'files', '--host', 'here'])
    expect(onHere.code).toBe(exitCodes['not-supported'])
    expect(onHere.stderr).toMatch(/cannot mount the file system[^]*--layout disks/)
    const verify = await gantry.run(['deploy', 'files', '--host', 'host', '--verify'])
    expect(verify.code).toBe(exitCodes['not-supported'])
    const stage = await gantry.run([
      ...['stage', '--image', theLab().state.tiny.raw, '--memory', '32M', '--host', 'here'],
      ...['--to', 'array/vol1/other'],
    ])
    expect(stage.code).toBe(exitCodes['not-supported'])
  })
})
