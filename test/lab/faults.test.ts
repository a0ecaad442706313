import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeLab, theLab } from './describe-lab.ts'
import { expectRefusal } from './expect-refusal.ts'
import { runWithFault } from './fault-at.ts'
import { arrayOptions, GantryCommand, hostOptions, sshOptions } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { DeviceInventory } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import { makeKeptFolders } from './kept-folders.ts'

/** Two consoles on the same devices, `other` with data of its own; what goes wrong leaves the devices as they were. */
describeLab('faults of devices and of other consoles', () => {
  let lab: Lab
  let gantry: GantryCommand
  let other: GantryCommand
  let empty: DeviceInventory
  let clean: DeviceInventory

  beforeAll(async () => {
    lab = theLab()
    await makeKeptFolders(lab)
    empty = await observeDevices(lab)
    gantry = new GantryCommand()
    other = new GantryCommand()
    await Promise.all([gantry.addLab(lab), other.addLab(lab)])
    await gantry.ok(stage('vol1/base'))
    clean = await observeDevices(lab)
  })
  afterAll(async () => {
    await gantry.ok(['containers', 'delete', 'array/vol1/base', '--yes'])
    gantry.dispose()
    other.dispose()
    expect(await lastingDifferences(lab, empty)).toEqual([])
  })

  const stage = (to: string, array = 'array'): string[] => [
    ...['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', `${array}/${to}`],
  ]
  const deploy = (name: string): string[] => [
    ...['deploy', 'array/vol1/base', '--host', 'host', '--name-pattern', name],
  ]
  const expectClean = async (): Promise<void> => expect(await lastingDifferences(lab, clean)).toEqual([])

  test('the volume is filled by something else during the copy', async () => {
    const filler = `${lab.state.array.volumes.small}/filler`
    const fill = `dd if=/dev/zero of='${filler}' bs=1M status=none; dd if=/dev/zero of='${filler}.2' bs=4096 status=none`
    const result = await runWithFault(gantry, stage('small/full'), {
      point: 'stage/copy/after-intent',
      fault: async () => {
        const { stderr } = await lab.array.machine.run(fill, { expectExit: [1], timeoutMs: 60_000 })
        expect(stderr).toContain('No space left on device')
      },
    })
    await lab.array.machine.run(`rm -f '${filler}' '${filler}.2'`)
    expectRefusal(result, 'device-rejected', {
      object: 'LUN stage-full on host host',
      message: /did not reach the array/,
      advice: /volume on the array is probably full/,
    })
    await expectClean()
  })

  test('a user without rights on a machine', async () => {
    const visitor = new GantryCommand()
    const by = (options: string[]) =>
      options.map((option) => option.replace(/^root@/, `${lab.state.host.userWithoutRights}@`))
    try {
      await visitor.addLab(lab)
      await visitor.ok(['host', 'add', 'h2', ...by(sshOptions(lab, 'host')), ...hostOptions(lab)])
      await visitor.ok(['array', 'add', 'a2', ...by(sshOptions(lab, 'array')), ...arrayOptions(lab)])
      const onHost = await visitor.run([...deploy('visited'), '--host', 'h2'])
      expectRefusal(onHost, 'auth-failed', { object: 'host h2', message: /libvirt/, advice: /sudo/ })
      expectRefusal(await visitor.run(stage('vol1/visited', 'a2')), 'auth-failed', {
        object: 'a2',
        advice: /Connect as root/,
      })
      const create = ['containers', 'create', 'a2/vol1/visited', '--size', '16M']
      expectRefusal(await visitor.run(create), 'auth-failed', { object: 'visited', advice: /root/ })
    } finally {
      visitor.dispose()
    }
    await expectClean()
  })

  test('A17: the LUN limit of a volume, in the plan and when another console was faster', async () => {
    const limited = new GantryCommand()
    try {
      await limited.ok(['host', 'add', 'host', ...sshOptions(lab, 'host'), ...hostOptions(lab)])
      const limit = ['--lun-limit', '1']
      await limited.ok(['array', 'add', 'array', ...sshOptions(lab, 'array'), ...arrayOptions(lab), ...limit])
      const two = await limited.run([...deploy('many-{n}'), '--count', '2'])
      expectRefusal(two, 'device-rejected', { object: 'volume array/vol1', message: /cannot hold 2 more/ })
      const raced = await runWithFault(limited, stage('vol1/raced'), {
        point: 'stage/create-lun/after-intent',
        fault: async () => void (await other.ok(['lun', 'create', 'array/first', ...fromBase])),
      })
      expectRefusal(raced, 'device-rejected', {
        object: 'LUN stage-raced',
        message: /as many LUNs as it may have/,
        advice: /limit/,
      })
      await other.ok(['lun', 'destroy', 'array/first', '--yes'])
    } finally {
      limited.dispose()
    }
    await expectClean()
  })
  const fromBase = ['--volume', 'vol1', '--container', 'base']

  test('a name that is taken: by a container, by a VM of somebody else, by a deployment', async () => {
    expectRefusal(await other.run(stage('vol1/base')), 'bad-request', {
      object: 'container array/vol1/base',
      message: /on the volume already/,
      advice: /another name/,
    })
    const taken = await gantry.run(deploy(lab.state.tiny.domain))
    expectRefusal(taken, 'bad-request', {
      object: `deployment ${lab.state.tiny.domain}`,
      message: /is taken/,
    })
    const lun = ['lun', 'create', 'array/twice', ...fromBase]
    await gantry.ok(lun)
    expectRefusal(await gantry.run(lun), 'bad-request', {
      object: 'array array',
      message: /LUN named "twice"/,
    })
    await gantry.ok(['lun', 'destroy', 'array/twice', '--yes'])
    await expectClean()
  })

  test('two consoles stage the same container: the one that comes second is refused and removes nothing', async () => {
    const result = await runWithFault(gantry, stage('vol1/one'), {
      point: 'stage/create-container/after-intent',
      fault: async () => void (await other.ok(stage('vol1/one'))),
    })
    expectRefusal(result, 'busy', {
      object: 'container one',
      message: /name is taken/,
      advice: /another name/,
    })
    const shown = await gantry.json<{ state: string }>(['containers', 'show', 'array/vol1/one'])
    expect(shown.state).toBe('ok')
    await other.ok(['containers', 'delete', 'array/vol1/one', '--yes'])
    await expectClean()
  })

  test('two consoles stage the same container at once: exactly one wins', async () => {
    const results = await Promise.all([gantry, other].map((console) => console.run(stage('vol1/race'))))
    const codes = results.map(({ code }) => code)
    expect(codes.filter((code) => code === 0)).toEqual([0])
    const loser = results.find(({ code }) => code !== 0)
    expect([2, 4]).toContain(loser?.code)
    const shown = await gantry.json<{ state: string }>(['containers', 'show', 'array/vol1/race'])
    expect(shown.state).toBe('ok')
    await gantry.ok(['containers', 'delete', 'array/vol1/race', '--yes'])
    await expectClean()
  })

  test('A4: a LUN that turns out not to be empty is not formatted', async () => {
    const file = `${lab.state.array.volumes.vol1}/containers/used.ctr`
    const result = await runWithFault(gantry, stage('vol1/used'), {
      point: 'stage/prepare/after-intent',
      fault: async () => void (await lab.array.machine.run(`mkfs.ext4 -q -F '${file}'`)),
    })
    expectRefusal(result, 'bad-request', {
      object: 'LUN stage-used on host host',
      message: /not empty/,
      advice: /Nothing was changed/,
    })
    await expectClean()
  })

  test('a LUN that a VM runs from is not destroyed, nor its file deleted', async () => {
    await gantry.ok([...deploy('inuse'), '--start'])
    const running = await observeDevices(lab)
    expectRefusal(await gantry.run(['lun', 'destroy', 'array/inuse', '--yes']), 'busy', {
      object: 'LUN inuse of array',
      message: /logged in/,
      advice: /Log the host out/,
    })
    const again = ['lun', 'create', 'array/second', '--volume', 'vol1', '--clone', 'inuse']
    expectRefusal(await gantry.run(again), 'busy', { object: 'LUN second', message: /A LUN is made from it/ })
    expect(await lastingDifferences(lab, running)).toEqual([])
    await gantry.ok(['decommission', 'inuse', '--yes'])
    await expectClean()
  })
})
