import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeLab, theLab } from './describe-lab.ts'
import { expectRefusal } from './expect-refusal.ts'
import { runWithFault } from './fault-at.ts'
import { GantryCommand } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { DeviceInventory } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import { makeKeptFolders } from './kept-folders.ts'

/** tgtd keeps nothing: killed, it has lost every LUN; hosts that use one wait until it is there again. */
describeLab('the target daemon of the array is killed', () => {
  let lab: Lab
  let gantry: GantryCommand
  let empty: DeviceInventory
  let clean: DeviceInventory

  beforeAll(async () => {
    lab = theLab()
    await makeKeptFolders(lab)
    empty = await observeDevices(lab)
    gantry = new GantryCommand()
    await gantry.addLab(lab)
    await gantry.ok(stage('base'))
    clean = await observeDevices(lab)
  })
  afterAll(async () => {
    await lab.startArrayDaemon()
    await gantry.ok(['containers', 'delete', 'array/vol1/base', '--yes'])
    gantry.dispose()
    expect(await lastingDifferences(lab, empty)).toEqual([])
  })

  const stage = (name: string): string[] => [
    ...['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', `array/vol1/${name}`],
  ]
  const jobIn = async (state: string): Promise<string> => {
    const jobs = await gantry.json<{ id: string; state: string }[]>(['jobs', 'list'])
    return jobs.find((job) => job.state === state)?.id ?? `no job is ${state}`
  }
  const killAndStart = async (): Promise<void> => {
    await lab.killArrayDaemon()
    await lab.startArrayDaemon()
  }

  test('A17: during the copy: it waits, and ends well after the LUNs were restored', async () => {
    const result = await runWithFault(gantry, stage('waited'), {
      point: 'stage/copy/after-intent',
      fault: async () => {
        await killAndStart()
        await gantry.ok(['lun', 'restore', 'array'])
      },
    })
    expect(result.code, result.stderr).toBe(0)
    const shown = await gantry.json<{ state: string; problems: string[] }>([
      ...['containers', 'show', 'array/vol1/waited'],
    ])
    expect(shown).toMatchObject({ state: 'ok', problems: [] })
    await gantry.ok(['containers', 'delete', 'array/vol1/waited', '--yes'])
    expect(await lastingDifferences(lab, clean)).toEqual([])
  })

  test('during the copy, and it stays away: cancelling works; the undo makes the LUNs again and is ended', async () => {
    let cancelling: Promise<unknown> = Promise.resolve()
    const result = await runWithFault(gantry, stage('stuck'), {
      point: 'stage/copy/after-intent',
      fault: async () => {
        await lab.killArrayDaemon()
        cancelling = gantry.ok(['jobs', 'cancel', await jobIn('running')]).catch((error: unknown) => error)
      },
    })
    await cancelling
    expect(result.code, result.stderr).toBe(10)
    const job = await jobIn('needs-operator')
    expect(result.stderr).toContain(`gantry jobs undo ${job}`)
    await lab.startArrayDaemon()
    await gantry.ok(['jobs', 'undo', job])
    expect(await lastingDifferences(lab, clean)).toEqual([])
  })

  test('before a LUN is made: the operator is told who does not answer, and undoes when it does', async () => {
    const result = await runWithFault(gantry, stage('early'), {
      point: 'stage/create-lun/after-intent',
      fault: () => lab.killArrayDaemon(),
    })
    await lab.startArrayDaemon()
    expect(result.code, result.stderr).toBe(10)
    expect(result.stderr).toMatch(/target daemon does not answer on its control port \(unreachable\)/)
    expect(result.stderr).toContain('Start tgtd on the array')
    await gantry.ok(['jobs', 'undo', await jobIn('needs-operator')])
    expect(await lastingDifferences(lab, clean)).toEqual([])
  })

  test('nothing is begun while it does not answer', async () => {
    await lab.killArrayDaemon()
    const result = await gantry.run(stage('none'))
    await lab.startArrayDaemon()
    expectRefusal(result, 'unreachable', { object: 'array array', advice: /Start tgtd/ })
    expect(await lastingDifferences(lab, clean)).toEqual([])
  })

  test('A15, A17: under deployed VMs: restored before the next operation, and they run on', async () => {
    const deploy = ['deploy', 'array/vol1/base', '--host', 'host', '--start', '--name-pattern']
    await gantry.ok([...deploy, 'kept'])
    await gantry.ok([...deploy, 'ended'])
    const both = await observeDevices(lab)
    await killAndStart()
    const decommission = await gantry.ok(['decommission', 'ended', '--yes'])
    expect(decommission.stderr).toMatch(/Array array has lost 2 LUN\(s\)/)
    const luns = await gantry.json<{ name: string; sessions: string[] }[]>(['lun', 'list', 'array'])
    expect(luns.map(({ name }) => name)).toEqual(['kept'])
    const vms = await gantry.json<{ name: string; state: string }[]>(['host', 'vms', 'host', '--refresh'])
    expect(vms.find(({ name }) => name === 'kept')?.state).toBe('running')
    const gone = (await lastingDifferences(lab, both, { patienceMs: 0 })).filter(
      (difference) => !/ is gone: /.test(difference),
    )
    expect(gone.filter((difference) => !/sessions of/.test(difference))).toEqual([])
    await gantry.ok(['decommission', 'kept', '--yes'])
    expect(await lastingDifferences(lab, clean)).toEqual([])
  })
})
