import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest'
import { exitCodes } from '#shared/errors/user-text.ts'
import { describeLab, theLab } from '../lab/describe-lab.ts'
import { CrashBench } from './crash-bench.ts'

/** What goes wrong while something that went wrong is put right; and Ctrl-C. */
describeLab('interruptions', () => {
  let bench: CrashBench
  let deployed: string[]

  beforeAll(async () => {
    bench = new CrashBench(theLab())
    await bench.open()
    await bench.ok(bench.deploy('crashed'))
    deployed = await bench.changes()
    await bench.ok(bench.decommission('crashed'))
  })
  afterAll(() => bench.close())
  beforeEach(() => {
    onTestFailed(() => bench.tidy())
  })

  describe('a recovery that is killed is recovered from', () => {
    test.each([
      ['stage/verify/after-apply', 'stage/mount/before-undo', 'stage/create-container/after-undo'],
      ['stage/detach/after-intent', 'stage/attach/after-undo', 'stage/create-lun/before-undo'],
    ])('stage: %s, then %s, then %s', async (...points) => {
      await dieAt(bench.stage('crashed'), points)
      expect(await bench.recover()).toEqual([{ kind: 'stage', state: 'undone' }])
      expect(await bench.changes([])).toEqual([])
    })

    test('deploy, and decommission', async () => {
      await dieAt(bench.deploy('crashed'), [
        'deploy/attach/after-apply',
        'deploy/attach/after-intent',
        'deploy/start/after-apply',
      ])
      expect(await bench.recover()).toEqual([{ kind: 'deploy', state: 'done' }])
      expect(await bench.changes(deployed)).toEqual(deployed)
      await dieAt(bench.decommission('crashed'), [
        'decommission/unmount/after-apply',
        'decommission/detach/after-apply',
        'decommission/destroy-lun/after-apply',
      ])
      expect(await bench.recover()).toEqual([{ kind: 'decommission', state: 'done' }])
      expect(await bench.changes([])).toEqual([])
    })

    async function dieAt(args: readonly string[], [first = '', ...later]: readonly string[]): Promise<void> {
      await bench.killAt(args, first)
      for (const point of later) await bench.killAt(['jobs', 'recover'], point)
    }
  })

  test.each([
    ['stage', 'stage/copy/after-apply', 'undone'],
    ['deploy', 'deploy/attach/after-apply', 'done'],
  ] as const)('two recover a %s at once: one of them does it', async (kind, point, state) => {
    await bench.killAt(bench[kind]('crashed'), point)
    const both = await Promise.all([bench.recover(), bench.recover()])
    expect(both.flat()).toEqual([{ kind, state }])
    if (kind === 'deploy') {
      expect(await bench.changes(deployed)).toEqual(deployed)
      await bench.ok(bench.decommission('crashed'))
    }
    expect(await bench.changes([])).toEqual([])
  })

  test('a command recovers what an earlier one has left before it does its own', async () => {
    await bench.killAt(bench.deploy('crashed'), 'deploy/attach/after-intent')
    const { code, stderr } = await bench.run(bench.decommission('crashed'))
    expect(code, stderr).toBe(0)
    expect(stderr).toMatch(/^Recovered: Deploy crashed .*: interrupted -> done$/m)
    expect(await bench.changes([])).toEqual([])
  })

  test('a recovery that does not reach the host says so and leaves the job to a later one', async () => {
    await bench.killAt(bench.deploy('crashed'), 'deploy/attach/after-intent')
    await bench.lab.host.machine.stopSshd()
    const { code, stderr } = await bench.run(['jobs', 'recover'])
    await bench.lab.host.machine.startSshd()
    expect(code, stderr).toBe(exitCodes.unreachable)
    expect(stderr).toMatch(/^Not recovered: Deploy crashed .*: interrupted -> interrupted$/m)
    expect(await bench.recover()).toEqual([{ kind: 'deploy', state: 'done' }])
    expect(await bench.changes(deployed)).toEqual(deployed)
    await bench.ok(bench.decommission('crashed'))
    expect(await bench.changes([])).toEqual([])
  })

  describe('Ctrl-C', () => {
    test('in a staging, while it copies: undone, exit 130', async () => {
      const { template } = bench.lab.state
      const args = ['stage', '--domain', template.domain, '--host', 'host', '--to', 'array/vol1/crashed']
      await interrupt(args, /: step \d+ of \d+, Copy .*: applying$/m)
    })

    test('in the recovery of a deployment: undone, exit 130', async () => {
      await bench.killAt(bench.deploy('crashed', 'NEVER'), 'deploy/define/after-apply')
      await interrupt(['jobs', 'recover'], /: step \d+ of \d+, Wait .*: applying$/m)
    })

    test('in a deployment, while it waits for the guest: undone, exit 130', async () => {
      await interrupt(bench.deploy('crashed', 'NEVER'), /: step \d+ of \d+, Wait .*: applying$/m)
    })

    async function interrupt(args: readonly string[], moment: RegExp): Promise<void> {
      let seen = ''
      let sent = false
      const { code, stdout, stderr } = await bench.run(args, {
        onStderr: (text, kill) => {
          seen += text
          if (sent || !moment.test(seen)) return
          sent = true
          kill('SIGINT')
        },
      })
      expect(code, stderr).toBe(130)
      expect(stderr).toContain('Cancelling')
      expect(`${stdout}${stderr}`).toMatch(/(?:->| ) undone/)
      expect(await bench.changes([])).toEqual([])
    }
  })
})
