import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { GantryCommand } from '../lab/gantry-command.ts'
import { describeLab, theLab } from '../lab/describe-lab.ts'
import type { Lab } from '../lab/lab.ts'
import { diffDevices, observeDevices, type DeviceInventory } from '../lab/inventory-of-devices.ts'

/**
 * The process is killed (SIGKILL) at every fail point of every kind of job and started again. Declared outcomes
 * (docs/adr/0006): a staging is gone, a deployment is there, a decommissioned deployment is gone; and the devices
 * hold nothing that they did not hold before.
 */
const points = ['after-intent', 'after-apply', 'after-done'] as const

const steps = {
  stage: [
    'create-container',
    'create-lun',
    'map-lun',
    'attach',
    'prepare',
    'mount',
    'copy',
    'send-configuration',
    'sync',
    'verify',
    'write-header',
    'unmount',
    'detach',
    'unmap-lun',
    'destroy-lun',
    'record',
  ],
  deploy: [
    'snapshot',
    'clone',
    'create-lun',
    'map-lun',
    'attach',
    'mount',
    'define',
    'start',
    'wait',
    'record',
  ],
  decommission: [
    'stop',
    'undefine',
    'unmount',
    'detach',
    'unmap-lun',
    'destroy-lun',
    'delete-clone',
    'delete-snapshot',
    'record',
  ],
} as const

/** The steps of a staging and of a deployment that have an undo; the crash comes in the middle of it. */
const undoable = {
  stage: ['create-container', 'create-lun', 'map-lun', 'attach', 'mount'],
  deploy: ['snapshot', 'clone', 'create-lun', 'map-lun', 'attach', 'mount', 'define', 'start'],
} as const

const everyPoint = (kind: keyof typeof steps): string[] =>
  steps[kind].flatMap((step) => points.map((point) => `${kind}/${step}/${point}`))

describeLab('crash matrix', () => {
  let lab: Lab
  let gantry: GantryCommand
  let clean: DeviceInventory

  beforeAll(async () => {
    lab = theLab()
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
    ...[
      'deploy',
      'array/vol1/base',
      '--host',
      'host',
      '--name-pattern',
      name,
      '--start',
      '--wait',
      'serial:VMREADY',
    ],
  ]
  const decommission = (name: string): string[] => ['decommission', name, '--yes']

  async function crash(args: readonly string[], env: Record<string, string>): Promise<void> {
    const { signal, code, stderr } = await gantry.run(args, { env })
    expect(signal, `the fail point was reached (exit ${code}): ${stderr}`).toBe('SIGKILL')
  }

  async function jobs(): Promise<{ id: string; state: string }[]> {
    return gantry.json(['jobs', 'list'])
  }

  async function expectClean(): Promise<void> {
    expect(diffDevices(clean, await observeDevices(lab))).toEqual([])
    const open = (await jobs()).filter(({ state }) => !['done', 'undone', 'closed'].includes(state))
    expect(open).toEqual([])
  }

  test('the matrix names every step that the plans have', async () => {
    const ids = async (args: string[]): Promise<string[]> => {
      const planned = await gantry.json<{ steps: { id: string }[] }[]>([...args, '--plan'])
      return planned.flatMap((job) => job.steps.map(({ id }) => id))
    }
    expect(await ids(stage('x'))).toEqual(steps.stage)
    expect(await ids(deploy('x'))).toEqual(steps.deploy)
    await gantry.ok(deploy('x'))
    expect(await ids(decommission('x'))).toEqual(steps.decommission)
    await gantry.ok(decommission('x'))
    await expectClean()
  })

  describe('stage: killed, started again, gone', () => {
    test.each(everyPoint('stage'))('%s', async (point) => {
      await crash(stage('crashed'), { GANTRY_FAIL_AT: point })
      await gantry.ok(['jobs', 'recover'])
      const listed = await gantry.json<{ name: string }[]>(['containers', 'list', '--refresh'])
      if (point === 'stage/record/after-done') {
        expect(listed.map(({ name }) => name)).toContain('crashed')
        await gantry.ok(['containers', 'delete', 'array/vol1/crashed', '--yes'])
      } else expect(listed.map(({ name }) => name)).toEqual(['base'])
      await expectClean()
    })
  })

  describe('deploy: killed, started again, there', () => {
    test.each(everyPoint('deploy'))('%s', async (point) => {
      await crash(deploy('crashed'), { GANTRY_FAIL_AT: point })
      await gantry.ok(['jobs', 'recover'])
      const deployments = await gantry.json<{ name: string }[]>(['deployments', 'list'])
      expect(deployments.map(({ name }) => name)).toEqual(['crashed'])
      const vms = await gantry.json<{ name: string; state: string }[]>(['host', 'vms', 'host'])
      expect(vms.find(({ name }) => name === 'crashed')?.state).toBe('running')
      await gantry.ok(decommission('crashed'))
      await expectClean()
    })
  })

  describe('decommission: killed, started again, gone', () => {
    test.each(everyPoint('decommission'))('%s', async (point) => {
      await gantry.ok(deploy('crashed'))
      await crash(decommission('crashed'), { GANTRY_FAIL_AT: point })
      await gantry.ok(['jobs', 'recover'])
      expect(await gantry.json(['deployments', 'list'])).toEqual([])
      await expectClean()
    })
  })

  describe('a step fails and the process is killed while that is undone: gone', () => {
    const cases = [
      ...undoable.stage.map((step) => ['stage', 'write-header', step] as const),
      ...undoable.deploy.map((step) => ['deploy', 'wait', step] as const),
    ]
    test.each(cases)('%s fails at %s, killed while %s is undone', async (kind, failing, undone) => {
      await crash(kind === 'stage' ? stage('crashed') : deploy('crashed'), {
        GANTRY_FAIL_STEP: `${kind}/${failing}`,
        GANTRY_FAIL_AT: `${kind}/${undone}/in-undo`,
      })
      await gantry.ok(['jobs', 'recover'])
      await expectClean()
    })
  })

  describe('single steps: killed, started again, done', () => {
    const single: Record<string, { args: string[]; before?: string[]; after: string[][] }> = {
      'create-container': {
        args: ['containers', 'create', 'array/vol1/single', '--size', '16M'],
        after: [['containers', 'delete', 'array/vol1/single', '--yes']],
      },
      'delete-container': {
        before: ['containers', 'create', 'array/vol1/single', '--size', '16M'],
        args: ['containers', 'delete', 'array/vol1/single', '--yes'],
        after: [],
      },
      'create-lun': {
        args: ['lun', 'create', 'array/single', '--from', 'vol1/base'],
        after: [['lun', 'destroy', 'array/single', '--yes']],
      },
      'destroy-lun': {
        before: ['lun', 'create', 'array/single', '--from', 'vol1/base'],
        args: ['lun', 'destroy', 'array/single', '--yes'],
        after: [],
      },
      'map-lun': {
        before: ['lun', 'create', 'array/single', '--from', 'vol1/base'],
        args: ['lun', 'map', 'array/single', '--initiator', 'iqn.2026-11.test:other'],
        after: [
          ['lun', 'unmap', 'array/single', '--initiator', 'iqn.2026-11.test:other'],
          ['lun', 'destroy', 'array/single', '--yes'],
        ],
      },
    }
    const cases = Object.keys(single).flatMap((step) => points.map((point) => [step, point] as const))
    test.each(cases)('%s, %s', async (step, point) => {
      const { args, before, after } = single[step] ?? { args: [], after: [] }
      if (before !== undefined) await gantry.ok(before)
      await crash(args, { GANTRY_FAIL_AT: `single-step/${step}/${point}` })
      await gantry.ok(['jobs', 'recover'])
      for (const command of after) await gantry.ok(command)
      await expectClean()
    })
  })
})
