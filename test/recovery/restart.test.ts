import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest'
import { describeLab, theLab } from '../lab/describe-lab.ts'
import { CrashBench } from './crash-bench.ts'
import { applyPoints, undoPoints } from './kinds.ts'

const steps = ['attach', 'define', 'start']
const virsh = 'virsh -q -c qemu:///system'
/** The job dies in its first step, its recovery in the next, and so on. */
const applying = applyPoints.map((point) => steps.map((step) => `restore/${step}/${point}`))
const undoing = undoPoints.map((point) => steps.toReversed().map((step) => `restore/${step}/${point}`))

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

  async function dieAt([first = '', ...later]: readonly string[], failing?: string): Promise<void> {
    await restartHost()
    await bench.killAt(restore, first, failing)
    for (const point of later) await bench.killAt(['jobs', 'recover'], point)
  }

  test.each(applying)('a restoring that is killed is finished: %s, then %s, then %s', async (...points) => {
    await dieAt(points)
    expect(await bench.recover()).toEqual([{ kind: 'restore', state: 'done' }])
    expect(await bench.changes(deployed)).toEqual(deployed)
  })

  test.each(undoing)('an undo that is killed is finished: %s, then %s, then %s', async (...points) => {
    await dieAt(points, 'restore/start')
    expect(await bench.recover()).toEqual([{ kind: 'restore', state: 'undone' }])
    expect((await bench.planOf(restore)).map(({ id }) => id)).toEqual(steps)
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

  test('a target daemon that restarts under a staging: its LUN is made again, then all is undone', async () => {
    await bench.ok(bench.decommission('crashed'))
    await bench.killAt(bench.stage('crashed'), 'stage/mount/after-done')
    await bench.lab.killArrayDaemon()
    await bench.lab.startArrayDaemon()
    expect(await bench.recover()).toEqual([{ kind: 'stage', state: 'undone' }])
    expect(await bench.changes([])).toEqual([])
  })
})
