import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeLab } from '../lab/describe-lab.ts'
import { undoPoints } from './kinds.ts'
import { ThisComputerBench } from './this-computer-bench.ts'

/** The crash matrix of this computer as array and host: what the lab's matrix says of generic steps is not repeated. */
describeLab('crash matrix of this computer', () => {
  const bench = new ThisComputerBench()
  /** What a deployment adds, without a crash. */
  let deployed: string[]

  beforeAll(async () => {
    await bench.open()
    await bench.ok(bench.deploy('crashed'))
    deployed = await bench.added()
    expect(deployed).toContain('a QEMU runs')
    expect(deployed.filter((line) => line.includes('locked by VM crashed of '))).toHaveLength(1)
    await bench.ok(bench.decommission('crashed'))
    expect(await bench.added([])).toEqual([])
  })
  afterAll(() => bench.close())

  test.each(['after-intent', 'after-apply'])(
    'stage-disks, killed at %s of each step, is undone',
    async (point) => {
      const steps = await bench.stepsOf(bench.stage('crashed'))
      expect(steps.map(({ id }) => id)).toEqual(
        'create-container create-lun write verify-0 unmap-lun destroy-lun record'.split(' '),
      )
      for (const { id } of steps) {
        await bench.killAt(bench.stage('crashed'), `stage-disks/${id}/${point}`)
        expect(await bench.recover(), id).toEqual([{ kind: 'stage-disks', state: 'undone' }])
        expect(await bench.added([]), id).toEqual([])
      }
    },
  )

  test.each(undoPoints)('the undo of stage-disks, killed at %s of each step, is finished', async (point) => {
    for (const id of ['create-container', 'create-lun']) {
      await bench.killAt(bench.stage('crashed'), `stage-disks/${id}/${point}`, 'stage-disks/verify-0')
      expect(await bench.recover(), id).toEqual([{ kind: 'stage-disks', state: 'undone' }])
      expect(await bench.added([]), id).toEqual([])
    }
  })

  test('a deployment that is killed after each step is finished, and so is its decommissioning', async () => {
    const making = (await bench.stepsOf(bench.deploy('crashed'))).map(({ id }) => id)
    expect(making.slice(-8)).toEqual('create-lun attach verify-0 define lock start wait record'.split(' '))
    await bench.ok(bench.deploy('crashed'))
    const unmaking = (await bench.stepsOf(bench.decommission('crashed'))).map(({ id }) => id)
    expect(unmaking).not.toContain('unmount')
    expect(unmaking.length).toBeLessThanOrEqual(making.length)
    await bench.ok(bench.decommission('crashed'))
    for (const [index, made] of making.entries()) {
      await bench.killAt(bench.deploy('crashed'), `deploy/${made}/after-apply`)
      expect(await bench.recover(), made).toEqual([{ kind: 'deploy', state: 'done' }])
      expect(await bench.added(deployed), made).toEqual(deployed)
      const unmade = unmaking[index % unmaking.length] ?? ''
      await bench.killAt(bench.decommission('crashed'), `decommission/${unmade}/after-apply`)
      expect(await bench.recover(), unmade).toEqual([{ kind: 'decommission', state: 'done' }])
      expect(await bench.added([]), unmade).toEqual([])
    }
  })

  test.each(undoPoints)('the undo of a deployment, killed at %s, is finished', async (point) => {
    for (const id of ['attach', 'define', 'start']) {
      await bench.killAt(bench.deploy('crashed'), `deploy/${id}/${point}`, 'deploy/record')
      expect(await bench.recover(), id).toEqual([{ kind: 'deploy', state: 'undone' }])
      expect(await bench.added([]), id).toEqual([])
    }
  })

  test('B13: the lock of a container that is deployed directly, killed on both sides of it', async () => {
    // it writes into the container: nothing is verified, and no test comes after this one
    const direct = [...bench.deploy('crashed').filter((word) => word !== '--verify'), '--direct', '--yes']
    const undone = 'deploy/record'
    await bench.killAt(direct, 'deploy/lock/before-undo', undone)
    expect(await bench.recover()).toEqual([{ kind: 'deploy', state: 'undone' }])
    expect(await bench.added([])).toEqual([])
    await bench.killAt(direct, 'deploy/lock/after-intent')
    expect(await bench.recover()).toEqual([{ kind: 'deploy', state: 'done' }])
    expect((await bench.added()).join()).toMatch(/base.*locked by VM crashed/)
    await bench.killAt(bench.decommission('crashed'), 'decommission/unlock/after-intent')
    expect(await bench.recover()).toEqual([{ kind: 'decommission', state: 'done' }])
    expect(await bench.added([])).toEqual([])
    // the LUN by which the lock was freed is gone
    await bench.ok(direct)
    await bench.killAt(bench.decommission('crashed'), 'decommission/destroy-lun/after-apply')
    expect(await bench.recover()).toEqual([{ kind: 'decommission', state: 'done' }])
    expect(await bench.added([])).toEqual([])
  })
})
