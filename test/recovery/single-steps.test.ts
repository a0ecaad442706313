import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest'
import { describeLab, theLab } from '../lab/describe-lab.ts'
import { CrashBench } from './crash-bench.ts'
import { applyPoints, undoPointsOfSingleStep } from './kinds.ts'

const initiator = 'iqn.2026-11.gantry.lab:other'

/** Every step that can be commanded by itself, each from where the one before has led to. */
const steps: readonly { id: string; args: string[]; hasUndo?: true }[] = [
  {
    id: 'create-container',
    args: ['containers', 'create', 'array/vol1/crashed', '--size', '16M'],
    hasUndo: true,
  },
  {
    id: 'create-lun',
    args: ['lun', 'create', 'array/single', '--volume', 'vol1', '--container', 'crashed'],
    hasUndo: true,
  },
  { id: 'map-lun', args: ['lun', 'map', 'array/single', '--initiator', initiator], hasUndo: true },
  { id: 'restore-luns', args: ['lun', 'restore', 'array'] },
  { id: 'unmap-lun', args: ['lun', 'unmap', 'array/single', '--initiator', initiator] },
  { id: 'destroy-lun', args: ['lun', 'destroy', 'array/single', '--yes'] },
  { id: 'delete-container', args: ['containers', 'delete', 'array/vol1/crashed', '--yes'] },
]

describeLab('crash matrix of single steps', () => {
  let bench: CrashBench
  /** What each step leads to without a crash. */
  const reached = new Map<string, string[]>()

  /** The array loses its LUNs, so that there is something to restore. */
  async function prepare(id: string): Promise<void> {
    if (id !== 'restore-luns') return
    await bench.lab.killArrayDaemon()
    await bench.lab.startArrayDaemon()
  }

  beforeAll(async () => {
    bench = new CrashBench(theLab())
    await bench.open()
    for (const { id, args } of steps) {
      await prepare(id)
      await bench.ok(args)
      reached.set(id, await bench.changes())
    }
  })
  afterAll(() => bench.close())
  beforeEach(() => {
    onTestFailed(() => bench.tidy())
  })

  test('without a crash each has its effect, or takes one back', () => {
    const after = (id: string): string[] | undefined => reached.get(id)
    const made = ['create-container', 'create-lun', 'map-lun'].map(after)
    expect(new Set([...made, []].map((changes) => changes?.join('\n'))).size).toBe(4)
    expect(after('restore-luns')).toEqual(after('map-lun'))
    expect(after('unmap-lun')).toEqual(after('create-lun'))
    expect(after('destroy-lun')).toEqual(after('create-container'))
    expect(after('delete-container')).toEqual([])
  })

  test.each(applyPoints)('killed at %s, each is finished', async (point) => {
    for (const { id, args } of steps) {
      await prepare(id)
      await bench.killAt(args, `single-step/${id}/${point}`)
      expect(await bench.recover(), id).toEqual([{ kind: 'single-step', state: 'done' }])
      const expected = reached.get(id)
      expect(await bench.changes(expected), id).toEqual(expected)
    }
  })

  describe('an undo that is killed is finished', () => {
    test('of each step that has one', async () => {
      let before: string[] = []
      for (const { id, args, hasUndo } of steps) {
        await prepare(id)
        const plan = await bench.planOf(args)
        expect(plan.map((step) => [step.id, step.undoCommands.length > 0])).toEqual([[id, hasUndo === true]])
        for (const { point, failing } of hasUndo === true ? undoPointsOfSingleStep(id) : []) {
          await bench.killAt(args, point, failing)
          expect(await bench.recover(), point).toEqual([{ kind: 'single-step', state: 'undone' }])
          expect(await bench.changes(before), point).toEqual(before)
        }
        await bench.ok(args)
        before = reached.get(id) ?? []
      }
    })
  })
})
