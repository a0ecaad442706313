import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeLab, theLab } from './describe-lab.ts'
import { expectRefusal } from './expect-refusal.ts'
import { runWithFault } from './fault-at.ts'
import { GantryCommand } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { DeviceInventory } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import { ProxiedLab } from './proxied-lab.ts'
import { makeKeptFolders } from './kept-folders.ts'

/**
 * The connection is lost with the request of a step on its way: it reaches the machine, which goes on with it, and no
 * answer comes back. Each step has a console of its own, several at once, and one look at the devices is for them all.
 */
const stageSteps = {
  array: ['create-container', 'create-lun', 'map-lun', 'unmap-lun', 'destroy-lun'],
  host: [
    ...['attach', 'prepare', 'mount', 'copy', 'send-configuration', 'sync', 'verify', 'write-header'],
    ...['unmount', 'detach'],
  ],
} as const
const deploySteps = {
  array: ['snapshot', 'clone', 'create-lun', 'map-lun'],
  host: ['attach', 'mount', 'define', 'start'],
} as const
const decommissionSteps = {
  host: ['stop', 'undefine', 'unmount', 'detach'],
  array: ['unmap-lun', 'destroy-lun', 'delete-clone', 'delete-snapshot'],
} as const

type Machine = 'array' | 'host'
type Cut = readonly [machine: Machine, step: string]
const cutsOf = (steps: Readonly<Record<Machine, readonly string[]>>): Cut[] =>
  (['array', 'host'] as const).flatMap((machine) => steps[machine].map((step) => [machine, step] as const))

async function inBatches<T>(
  size: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < items.length; at += size)
    await Promise.all(items.slice(at, at + size).map((item) => work(item)))
}

describeLab('the SSH connection is cut in a step', () => {
  let lab: Lab
  let gantry: GantryCommand
  let clean: DeviceInventory

  beforeAll(async () => {
    lab = theLab()
    await makeKeptFolders(lab)
    gantry = new GantryCommand()
    await gantry.addLab(lab)
    await gantry.ok(stage('base'))
    clean = await observeDevices(lab)
  })
  afterAll(async () => {
    await gantry.run(['containers', 'delete', 'array/vol1/base', '--yes'])
    gantry.dispose()
  })

  const stage = (name: string): string[] => [
    ...['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', `array/vol1/${name}`],
  ]
  const deploy = (name: string): string[] => [
    ...['deploy', 'array/vol1/base', '--host', 'host', '--name-pattern', name, '--start'],
  ]

  /** Runs a command whose connection to the machine is cut in this step; then what `after` does with the console. */
  async function cutIn(
    kind: string,
    [machine, step]: Cut,
    args: readonly string[],
    after: (console: ProxiedLab, result: Awaited<ReturnType<GantryCommand['run']>>) => Promise<void>,
    before: (console: ProxiedLab) => Promise<unknown> = async () => undefined,
  ): Promise<void> {
    const console = await ProxiedLab.start(lab)
    try {
      await before(console)
      const fault = () => console.cutNextScript(machine)
      const point = `${kind}/${step}/after-intent`
      await after(console, await runWithFault(console.gantry, args, { point, fault }))
    } finally {
      await console.stop()
    }
  }

  describe('A2: undone, with one error that names the machine', () => {
    test('of a staging', async () => {
      await inBatches(4, cutsOf(stageSteps), (cut) =>
        cutIn('stage', cut, stage(`cut-${cut[1]}`), async (_console, result) =>
          expectRefusal(result, 'unreachable', {
            object: cut[0],
            message: /connection was lost/,
            advice: /not known whether the device carried out/,
          }),
        ),
      )
      expect(await lastingDifferences(lab, clean)).toEqual([])
    })

    test('of a deployment', async () => {
      await inBatches(4, cutsOf(deploySteps), (cut) =>
        cutIn('deploy', cut, deploy(`cut-${cut[1]}`), async (_console, result) =>
          expectRefusal(result, 'unreachable', { object: cut[0], message: /connection was lost/ }),
        ),
      )
      expect(await lastingDifferences(lab, clean)).toEqual([])
    })
  })

  test('of a decommission: it stays as far as it came, and is resumed to its end', async () => {
    await inBatches(4, cutsOf(decommissionSteps), (cut) => {
      const name = `cut-${cut[1]}`
      return cutIn(
        'decommission',
        cut,
        ['decommission', name, '--yes'],
        async (console, result) => {
          expect(result.code, result.stderr).toBe(10)
          expect(result.stderr).toMatch(/connection was lost \(unreachable\)/)
          const [job] = await console.gantry.json<{ id: string; state: string }[]>(['jobs', 'list'])
          expect(result.stderr).toContain(`gantry jobs resume ${job?.id}`)
          await console.gantry.ok(['jobs', 'resume', job?.id ?? ''])
          expect(await console.gantry.json(['deployments', 'list'])).toEqual([])
        },
        (console) => console.gantry.ok(deploy(name)),
      )
    })
    expect(await lastingDifferences(lab, clean)).toEqual([])
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
