import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest'
import { describeLab, theLab } from '../lab/describe-lab.ts'
import { CrashBench } from './crash-bench.ts'
import { applyPointsOf, kinds, stepsOf, undoableOf } from './kinds.ts'

/**
 * The process is killed (SIGKILL) at every fail point of every kind of job and started again: the outcome is the one
 * that docs/adr/0006 declares, and devices and inventory are what they are without the crash.
 */
describeLab('crash matrix', () => {
  let bench: CrashBench
  /** What a deployment adds, without a crash. */
  let deployed: string[]

  beforeAll(async () => {
    bench = new CrashBench(theLab())
    await bench.open()
    await bench.ok(bench.deploy('crashed'))
    deployed = await bench.changes()
    await bench.ok(bench.decommission('crashed'))
    expect(await bench.changes([])).toEqual([])
  })
  afterAll(() => bench.close())
  beforeEach(() => {
    onTestFailed(() => bench.tidy())
  })

  test('names every step and every undo that the plans have', async () => {
    await bench.ok(bench.deploy('crashed'))
    const commands = {
      stage: bench.stage('crashed'),
      deploy: bench.deploy('other'),
      decommission: bench.decommission('crashed'),
      export: bench.export('crashed'),
    }
    for (const kind of kinds) {
      const steps = await bench.planOf(commands[kind])
      expect(steps.map(({ id }) => id)).toEqual(stepsOf[kind])
      // what is undone in the inventory only has no commands
      const undone = steps.filter(({ id, undoCommands }) => undoCommands.length > 0 || id === 'record')
      if (kind !== 'decommission') expect(undone.map(({ id }) => id)).toEqual(undoableOf[kind])
    }
    await bench.ok(bench.decommission('crashed'))
  })

  describe('a staging that is killed is undone', () => {
    test.each(applyPointsOf('stage'))('%s', async (point) => {
      await bench.killAt(bench.stage('crashed'), point)
      expect(await bench.recover()).toEqual([{ kind: 'stage', state: 'undone' }])
      expect(await bench.changes([])).toEqual([])
    })
  })

  describe('a deployment that is killed is finished, and so is its decommissioning', () => {
    const making = applyPointsOf('deploy')
    const unmaking = applyPointsOf('decommission')
    const count = Math.max(making.length, unmaking.length)
    const lives = Array.from(
      { length: count },
      (_, index) => [making[index % making.length] ?? '', unmaking[index % unmaking.length] ?? ''] as const,
    )
    test('every point of both is in a life', () => {
      expect(new Set(lives.flat())).toEqual(new Set([...making, ...unmaking]))
    })
    test.each(lives)('%s, then %s', async (made, unmade) => {
      await bench.killAt(bench.deploy('crashed'), made)
      expect(await bench.recover()).toEqual([{ kind: 'deploy', state: 'done' }])
      expect(await bench.changes(deployed)).toEqual(deployed)
      await bench.killAt(bench.decommission('crashed'), unmade)
      expect(await bench.recover()).toEqual([{ kind: 'decommission', state: 'done' }])
      expect(await bench.changes([])).toEqual([])
    })
  })
})
