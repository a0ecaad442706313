import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest'
import { describeLab, theLab } from '../lab/describe-lab.ts'
import { CrashBench } from './crash-bench.ts'
import { applyPoints } from './kinds.ts'

const steps = ['attach', 'mount', 'define', 'start']
const virsh = 'virsh -q -c qemu:///system'
/** A recovery meets the later of two points: each life of a job has one crash of its own and one of its recovery. */
const inPairs = (points: readonly string[], distance: number): (readonly [string, string])[] =>
  points.flatMap((point, index) =>
    Math.floor(index / distance) % 2 === 0 ? [[point, points[index + distance] ?? '']] : [],
  )
const applying = steps.flatMap((step) => applyPoints.map((point) => `restore/${step}/${point}`))
const undoing = steps
  .toReversed()
  .flatMap((step) => ['before-undo', 'after-undo'].map((point) => `restore/${step}/${point}`))

/** Crashes of the console around a loss of power of the host. */
describeLab('crash matrix of a restarted host', () => {
  let bench: CrashBench
  const restore = ['deployments', 'restore', 'crashed']
  let deployed: string[]

  /** The VM's registration is lost too, so that a restoring has all its steps. */
  async function restartHost(): Promise<void> {
    await bench.lab.host.machine.stop()
    await bench.lab.host.start()
    await bench.lab.host.machine.run(`${virsh} undefine crashed 2> /dev/null || true`)
  }

  beforeAll(async () => {
    bench = new CrashBench(theLab())
    await bench.open()
    await bench.ok(bench.deploy('crashed'))
    deployed = await bench.changes()
  })
  afterAll(async () => {
    await bench.run(bench.decommission('crashed'))
    await bench.close()
  })
  beforeEach(() => {
    onTestFailed(() => bench.tidy())
  })

  test('every step of a restoring is in the matrix', async () => {
    await restartHost()
    expect((await bench.planOf(restore)).map(({ id }) => id)).toEqual(steps)
    await bench.ok(restore)
    expect(await bench.changes(deployed)).toEqual(deployed)
  })

  describe('a restoring that is killed, and killed again in its recovery, is finished', () => {
    test.each(inPairs(applying, applyPoints.length))('%s, then %s', async (first, second) => {
      await restartHost()
      await bench.killAt(restore, first)
      await bench.killAt(['jobs', 'recover'], second)
      expect(await bench.recover()).toEqual([{ kind: 'restore', state: 'done' }])
      expect(await bench.changes(deployed)).toEqual(deployed)
    })
  })

  describe('an undo that is killed, and killed again in its recovery, is finished', () => {
    test.each(inPairs(undoing, 2))('%s, then %s', async (first, second) => {
      await restartHost()
      await bench.killAt(restore, first, 'restore/start')
      await bench.killAt(['jobs', 'recover'], second)
      expect(await bench.recover()).toEqual([{ kind: 'restore', state: 'undone' }])
      expect((await bench.planOf(restore)).map(({ id }) => id)).toEqual(steps)
    })
  })

  test('a host that restarts under a deployment: what is left of the LUN is cleared, whatever is killed, and it is finished', async () => {
    await bench.ok(bench.decommission('crashed'))
    expect(await bench.changes([])).toEqual([])
    await bench.killAt(bench.deploy('crashed'), 'deploy/attach/after-done')
    await restartHost()
    await bench.killAt(['jobs', 'recover'], 'deploy/attach/before-clear')
    await bench.killAt(['jobs', 'recover'], 'deploy/attach/after-clear')
    expect(await bench.recover()).toEqual([{ kind: 'deploy', state: 'done' }])
    expect(await bench.changes(deployed)).toEqual(deployed)
  })
})
