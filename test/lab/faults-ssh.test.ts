import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeLab, theLab } from './describe-lab.ts'
import { expectRefusal } from './expect-refusal.ts'
import { runWithFault } from './fault-at.ts'
import { GantryCommand } from './gantry-command.ts'
import type { CommandResult } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { DeviceInventory } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import { ProxiedLab } from './proxied-lab.ts'
import { makeKeptFolders } from './kept-folders.ts'

/**
 * The connection is lost with the request of a step on its way: it reaches the machine, which goes on with it, and no
 * answer comes back. Several consoles work at once, each on other steps, and one look at the devices is for them all.
 */
const stageSteps = {
  array: ['create-container', 'create-lun', 'unmap-lun', 'destroy-lun'],
  host: [
    ...['attach', 'prepare', 'mount', 'copy', 'send-configuration', 'sync', 'verify', 'write-header'],
    ...['unmount', 'detach'],
  ],
} as const
const deploySteps = {
  array: ['snapshot', 'clone', 'create-lun'],
  host: ['attach', 'define', 'start'],
} as const
const decommissionSteps = {
  host: ['stop', 'undefine', 'unmount', 'detach'],
  array: ['unmap-lun', 'destroy-lun', 'delete-clone', 'delete-snapshot'],
} as const

type Machine = 'array' | 'host'
type Cut = readonly [machine: Machine, step: string]
const cutsOf = (steps: Readonly<Record<Machine, readonly string[]>>): Cut[] =>
  (['array', 'host'] as const).flatMap((machine) => steps[machine].map((step) => [machine, step] as const))

describeLab('the SSH connection is cut in a step', () => {
  let lab: Lab
  let gantry: GantryCommand
  let consoles: ProxiedLab[] = []
  let clean: DeviceInventory

  beforeAll(async () => {
    lab = theLab()
    await makeKeptFolders(lab)
    gantry = new GantryCommand()
    await gantry.addLab(lab)
    await gantry.ok(stage('base'))
    consoles = await Promise.all(Array.from({ length: 4 }, () => ProxiedLab.start(lab)))
    clean = await observeDevices(lab)
  })
  afterAll(async () => {
    await gantry.run(['containers', 'delete', 'array/vol1/base', '--yes'])
    gantry.dispose()
    await Promise.all(consoles.map((console) => console.stop()))
  })

  const stage = (name: string): string[] => [
    ...['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', `array/vol1/${name}`],
  ]
  const deploy = (name: string): string[] => [
    ...['deploy', 'array/vol1/base', '--host', 'host', '--name-pattern', name, '--start'],
  ]

  /** The consoles share the work. */
  async function forEach(
    cuts: readonly Cut[],
    work: (console: ProxiedLab, cut: Cut) => Promise<void>,
  ): Promise<void> {
    const left = [...cuts]
    await Promise.all(
      consoles.map(async (console) => {
        for (let cut = left.shift(); cut !== undefined; cut = left.shift()) await work(console, cut)
      }),
    )
    expect(await lastingDifferences(lab, clean)).toEqual([])
  }

  /** Runs a command whose connection to the machine is cut in this step. */
  function cutIn(
    console: ProxiedLab,
    kind: string,
    [machine, step]: Cut,
    args: readonly string[],
  ): Promise<CommandResult> {
    const fault = () => console.cutNextScript(machine)
    return runWithFault(console.gantry, args, { point: `${kind}/${step}/after-intent`, fault })
  }

  test('A2: of a staging: undone, with one error that names the machine', async () => {
    await forEach(cutsOf(stageSteps), async (console, cut) =>
      expectRefusal(await cutIn(console, 'stage', cut, stage(`cut-${cut[1]}`)), 'unreachable', {
        object: cut[0],
        message: /connection was lost/,
        advice: /not known whether the device carried out/,
      }),
    )
  })

  test('A12: of a deployment: undone, with one error that names the machine', async () => {
    await forEach(cutsOf(deploySteps), async (console, cut) =>
      expectRefusal(await cutIn(console, 'deploy', cut, deploy(`cut-${cut[1]}`)), 'unreachable', {
        object: cut[0],
        message: /connection was lost/,
      }),
    )
  })

  test('A15: of a decommission: it stays as far as it came, and is resumed to its end', async () => {
    await forEach(cutsOf(decommissionSteps), async (console, cut) => {
      const name = `cut-${cut[1]}`
      await console.gantry.ok(deploy(name))
      const result = await cutIn(console, 'decommission', cut, ['decommission', name, '--yes'])
      expect(result.code, result.stderr).toBe(10)
      // the first step on the host is also the first connection to it
      expect(result.stderr).toMatch(/connection .*\(unreachable\)/)
      const [job] = await console.gantry.json<{ id: string }[]>(['jobs', 'list'])
      expect(result.stderr).toContain(`gantry jobs resume ${job?.id}`)
      await console.gantry.ok(['jobs', 'resume', job?.id ?? ''])
      expect(await console.gantry.json(['deployments', 'list'])).toEqual([])
    })
  })

  test('the host is gone and stays so: the operator is told, and the undo is ended when it is back', async () => {
    const fault = () => lab.host.machine.stopSshd()
    const point = 'stage/copy/after-intent'
    const result = await runWithFault(gantry, stage('gone'), { point, fault })
    await lab.host.machine.startSshd()
    expect(result.code, result.stderr).toBe(10)
    expect(result.stderr).toMatch(/^host host: .* \(unreachable\)$/m)
    const jobs = await gantry.json<{ id: string; state: string }[]>(['jobs', 'list'])
    const open = jobs.find(({ state }) => state === 'needs-operator')
    expect(result.stderr).toContain(`gantry jobs undo ${open?.id}`)
    await gantry.ok(['jobs', 'undo', open?.id ?? ''])
    expect(await lastingDifferences(lab, clean)).toEqual([])
  })
})
