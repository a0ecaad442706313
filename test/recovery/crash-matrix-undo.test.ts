import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest'
import { describeLab, theLab } from '../lab/describe-lab.ts'
import { CrashBench } from './crash-bench.ts'
import { applyPointsOf, undoCasesOf } from './kinds.ts'

/** The other half of the matrix: exports, and every undo that is killed. */
describeLab('crash matrix of exports and undoing', () => {
  let bench: CrashBench
  /** What an export adds: a folder of this computer. */
  let exported: string[]

  beforeAll(async () => {
    bench = new CrashBench(theLab())
    await bench.open()
    await bench.ok(bench.export('crashed'))
    exported = await bench.changes()
    expect(exported).toHaveLength(4)
    bench.removeExport('crashed')
  })
  afterAll(() => bench.close())
  beforeEach(() => {
    onTestFailed(() => bench.tidy())
  })

  describe('an export that is killed, and killed again while it is recovered, is finished', () => {
    const points = applyPointsOf('export')
    const half = Math.ceil(points.length / 2)
    const lives = points.slice(0, half).map((point, index) => [point, points[half + index] ?? point] as const)
    test('every point is in a life', () => {
      expect(new Set(lives.flat())).toEqual(new Set(points))
    })
    test.each(lives)('%s, then %s', async (first, second) => {
      await bench.killAt(bench.export('crashed'), first)
      await bench.killAt(['jobs', 'recover'], second)
      expect(await bench.recover()).toEqual([{ kind: 'export', state: 'done' }])
      expect(await bench.changes(exported)).toEqual(exported)
      bench.removeExport('crashed')
    })
  })

  describe('an undo that is killed is finished', () => {
    const cases = (['stage', 'deploy', 'export'] as const).flatMap((kind) =>
      undoCasesOf(kind).map(({ point, failing }) => ({ kind, point, failing })),
    )
    test.each(cases)('$point', async ({ kind, point, failing }) => {
      await bench.killAt(bench[kind]('crashed'), point, failing)
      expect(await bench.recover()).toEqual([{ kind, state: 'undone' }])
      expect(await bench.changes([])).toEqual([])
    })
  })
})
