import { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import { AppError } from '#shared/errors/app-error.ts'
import { encodeError } from '#shared/errors/wire-error.ts'
import { sampleJob } from '#test/support/sample-jobs.ts'
import { createFakeIo } from '#test/support/fake-io.ts'
import { runGantry } from '#test/support/run-gantry.ts'
import { buildProgram } from './program.ts'

const deploy = ['deploy', 'lab-array/vol1/web', '--host', 'lab-host']

/** Every command that does something, with its path of names. */
function leaves(command: Command, path: string[] = []): { path: string[]; command: Command }[] {
  if (command.commands.length === 0) return [{ path, command }]
  return command.commands.flatMap((inner) => leaves(inner, [...path, inner.name()]))
}
const program = buildProgram({
  io: createFakeIo(),
  version: '1',
  makeAction: () => () => Promise.resolve(),
  makeLoneAction: () => () => Promise.resolve(),
})
const commands = leaves(program)

describe('U9: every command', () => {
  test.each(commands.map(({ path }) => path.join(' ')))('%s has help with an example', async (path) => {
    const { exitCode, out } = await runGantry([...path.split(' '), '--help'])
    expect(exitCode).toBe(0)
    expect(out).toContain(`gantry ${path.split(' ')[0] ?? ''}`)
    expect(out).toMatch(/Examples?:\n {2}gantry /)
    expect(out).toContain('--json')
  })

  test('A18, U2: every command that changes devices has --plan', () => {
    const withPlan = commands
      .filter(({ command }) => command.options.some(({ long }) => long === '--plan'))
      .map(({ path }) => path.join(' '))
    expect(withPlan.toSorted()).toEqual([
      'containers create',
      'containers delete',
      'containers export',
      'decommission',
      'deploy',
      'deployments restore',
      'lun create',
      'lun destroy',
      'lun map',
      'lun restore',
      'lun unmap',
      'stage',
      'unit export',
      'unit repair',
      'unit verify',
      'unit write',
    ])
  })

  test('U5: no option takes a secret', () => {
    const flags = commands.flatMap(({ command }) => command.options.map(({ flags: text }) => text))
    expect(flags.filter((text) => /pass|secret|token/i.test(text) && !text.includes('<variable>'))).toEqual(
      [],
    )
  })
})

test.each([
  ['array list', 'lab-array'],
  ['array show lab-array', '/srv/vol1'],
  ['array probe lab-array', 'Use XFS with reflink=1 for clones.'],
  ['array volumes lab-array', '16 of 16'],
  ['host list', 'QEMU 7.2.22'],
  ['host probe lab-host', 'open-iscsi'],
  ['host vms lab-host', 'running'],
  ['template show --host lab-host --domain web', 'web.raw'],
  ['containers list', 'lab-array/vol1/web'],
  ['containers show lab-array/vol1/web', 'no copy of its description verifies'],
  ['deployments list', 'web-2'],
  ['lun list', 'lab-array/web-1-lun'],
  ['jobs list', 'needs-operator'],
  ['jobs show job-stuck', 'tgtadm: this logical unit is still active'],
])('%s: text for a person, one JSON document with --json', async (line, words) => {
  const text = await runGantry(line.split(' '))
  expect(text.exitCode).toBe(0)
  expect(text.out).toContain(words)
  const json = await runGantry([...line.split(' '), '--json'])
  expect(json.exitCode).toBe(0)
  expect(() => void JSON.parse(json.out)).not.toThrow()
})

test.each(['array list', 'host list', 'containers list', 'deployments list', 'lun list', 'jobs list'])(
  '%s: an empty inventory says so, and is [] in JSON',
  async (line) => {
    const text = await runGantry(line.split(' '), { filled: false })
    expect(text.out).toMatch(/^(No|There are no) .*\n$/)
    expect(JSON.parse((await runGantry([...line.split(' '), '--json'], { filled: false })).out)).toEqual([])
  },
)

describe('U2: --plan', () => {
  test('prints every step with number, title, target, exact commands and undo, and starts nothing', async () => {
    const { out, exitCode, calls, recoveries } = await runGantry([...deploy, '--plan'])
    expect(exitCode).toBe(0)
    expect(calls).toEqual(['operations.plan'])
    expect(recoveries).toBe(0)
    expect(out).toBe(`Plan of deploy
  Warning: The array cannot clone on vol2.
  1. Create the container file  (array lab-array)
       set -eu
       truncate -s 4724464640 '/srv/vol1/web'
     Undo:
       rm -f '/srv/vol1/web'
  2. Copy the VM data  (host lab-host)
       dd if='/srv/templates/web.raw' of=/dev/stdout
  Data to move: 4.00 KiB

Nothing was changed: this is the plan.
`)
  })

  test('with --json the plan is the document', async () => {
    const { out } = await runGantry([...deploy, '--plan', '--json'])
    expect(JSON.parse(out)).toMatchObject([{ bytesToMove: 4096, steps: [{ id: 'create-container' }, {}] }])
  })
})

describe('running jobs', () => {
  test('recovery comes first, progress goes to standard error, the result to standard output', async () => {
    const run = await runGantry([...deploy, '--count', '2'], { jobsPerOperation: 2 })
    expect(run.exitCode).toBe(0)
    expect(run.recoveries).toBe(1)
    expect(run.inputOf('operations.start')).toMatchObject({
      kind: 'deploy',
      count: 2,
      namePattern: 'web-{n}',
    })
    expect(run.out.trim().split('\n')).toHaveLength(2)
    expect(run.err).toContain('step 2 of 2, Copy the VM data: done')
  })

  test('what a job did before it was watched is told in its order, its end last and once', async () => {
    const { err } = await runGantry(['lun', 'restore', 'lab-array'])
    const states = err.match(/^[^:]*: (running|step 1 of 2, .*: applying|step 2 of 2, .*: done|done)$/gm)
    expect(states?.map((line) => line.replace(/^.*?: (step \d)?.*?(\w+)$/, '$1 $2').trim())).toEqual([
      'running',
      'step 1 applying',
      'step 2 done',
      'done',
    ])
  })

  test('--json has the jobs; --json-progress has events as lines', async () => {
    const run = await runGantry([...deploy, '--json', '--json-progress'])
    expect(JSON.parse(run.out)).toMatchObject({ jobs: [{ state: 'done' }] })
    const lines = run.err
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { name: string })
    expect(new Set(lines.map(({ name }) => name))).toEqual(
      new Set(['jobs.stepChanged', 'jobs.progressChanged', 'jobs.jobChanged']),
    )
  })

  test('a job that failed gives the exit code of its error, and its words', async () => {
    const run = await runGantry(deploy, { outcome: 'undone' })
    expect(run.exitCode).toBe(8)
    expect(run.err).toContain('host lab-host: The host refused (device-rejected)')
  })

  test('a job that needs the operator gives 10 and says how to go on', async () => {
    const run = await runGantry(deploy, { outcome: 'needs-operator' })
    expect(run.exitCode).toBe(10)
    expect(run.err).toMatch(/gantry jobs undo new-\d/)
  })

  test('Ctrl-C asks for a cancel and waits for the undo', async () => {
    const run = await runGantry(deploy, {
      outcome: 'held',
      before: (core, io) => {
        const stop = core.api.on((event) => {
          if (event.name !== 'jobs.stepChanged') return
          stop()
          io.interrupt()
        })
      },
    })
    expect(run.exitCode).toBe(130)
    expect(run.calls).toContain('jobs.cancel')
    expect(run.err).toContain('Press Ctrl-C again')
  })

  test('a second Ctrl-C leaves at once and says what remains', async () => {
    const run = await runGantry(deploy, {
      outcome: 'held',
      before: (core, io) => {
        const stop = core.api.on((event) => {
          if (event.name !== 'jobs.stepChanged') return
          stop()
          io.interrupt()
          io.interrupt()
        })
      },
    })
    expect(run.io.exitedWith).toEqual([130])
    expect(run.err).toMatch(/gantry jobs recover.*\n {2}new-4 {2}(running|undoing) {2}Stage/)
  })

  test('on a terminal there is one line per job, drawn over', async () => {
    const run = await runGantry(deploy, { columns: 60 })
    const lines = run.err.split('\n').map((line) => line.split('\u001b[2K').at(-1) ?? '')
    expect(lines).toContain('[####################] 100 %  Stage debian-12-web as lab-a…')
    for (const line of lines) expect(line.length).toBeLessThan(62)
    expect(run.err).toContain('\u001b[1A')
  })

  test('what was recovered is told', async () => {
    const run = await runGantry(deploy, {
      before: (core) => core.setJob(sampleJob('lost', { state: 'interrupted' })),
      recover: (core) => {
        core.setJob(sampleJob('lost', { state: 'undone' }))
        return Promise.resolve(['lost'])
      },
    })
    expect(run.err).toContain(
      'Recovered: Stage debian-12-web as lab-array/vol1/web (lost): interrupted -> undone',
    )
  })

  test('what another console is recovering is not told as recovered here', async () => {
    const run = await runGantry(['jobs', 'recover'], {
      filled: false,
      before: (core) => core.setJob(sampleJob('lost', { state: 'interrupted' })),
      recover: (core) => {
        core.setJob(sampleJob('lost', { state: 'undoing' }))
        return Promise.resolve([])
      },
    })
    expect(run.err).not.toContain('Recovered')
    expect(run.out).toBe('There was nothing to recover.\n')
  })

  test('what could not be recovered is told with its error and exit code', async () => {
    const error = encodeError(new AppError('unreachable', 'No route', { object: 'host kvm1' }))
    const run = await runGantry(['jobs', 'recover'], {
      filled: false,
      before: (core) => core.setJob(sampleJob('lost', { state: 'interrupted' })),
      recover: (core) => {
        core.setJob(sampleJob('lost', { state: 'interrupted', error }))
        return Promise.resolve(['lost'])
      },
    })
    expect(run.exitCode).toBe(5)
    expect(run.err).toContain('Not recovered: ')
    expect(run.err).toContain('host kvm1: No route (unreachable)')
  })
})

describe('confirmation', () => {
  const direct = [...deploy, '--direct']
  test.each([
    direct,
    ['decommission', 'web-1'],
    ['containers', 'delete', 'database'],
    ['lun', 'destroy', 'a/l'],
  ])('A12: %s %s must be confirmed', async (...args) => {
    const unasked = await runGantry(args)
    expect(unasked).toMatchObject({ exitCode: 2, recoveries: 0 })
    expect(unasked.err).toContain('--yes')
    const refused = await runGantry(args, { answers: ['n'] })
    expect(refused).toMatchObject({ exitCode: 130, recoveries: 0 })
    for (const run of [unasked, refused]) expect(run.calls).not.toContain('operations.start')
    expect((await runGantry(args, { answers: ['y'] })).calls).toContain('operations.start')
    expect((await runGantry([...args, '--yes'])).calls).toContain('operations.start')
  })
})

describe('naming containers', () => {
  test('NAME alone stands for the only one', async () => {
    const run = await runGantry(['deploy', 'database', '--host', 'lab-host'])
    expect(run.inputOf('operations.start')).toMatchObject({
      array: 'lab-array',
      volume: 'vol1',
      container: 'database',
    })
  })

  test.each([
    ['web', 2, 'lab-array/vol1/web, lab-array/vol2/web'],
    ['none', 3, 'No known container has this name'],
    ['a/b', 2, 'Write it as ARRAY/VOLUME/NAME.'],
    ['a//b', 2, 'Write it as ARRAY/VOLUME/NAME.'],
    ['a/b/c/d', 2, 'Write it as ARRAY/VOLUME/NAME.'],
    ['a/b/c d', 2, 'NAME in <container> is not accepted: use 1 to 63'],
    ['a/b c/d', 2, 'VOLUME in <container> is not accepted: use 1 to 63'],
  ])('%s gives one clear error', async (name, exitCode, words) => {
    const run = await runGantry(['deploy', name, '--host', 'lab-host', '--plan'])
    expect(run).toMatchObject({ exitCode, out: '' })
    expect(run.err).toContain(words)
  })
})

describe('wrong use', () => {
  test.each([
    ['format', 'unknown command'],
    ['deploy web', "required option '--host <name>'"],
    ['deploy web --host h --count many', 'It is not a whole number.'],
    ['deploy web --host h --count 0', '--count must be at least 1'],
    ['deploy web --host h;id', '--host is not accepted: use 1 to 63'],
    [`deploy web --host h --name-pattern ${'x'.repeat(81)}`, '--name-pattern must be at most 80 characters'],
    ['decommission a;b --yes', '<name> is not accepted: use 1 to 63'],
    ['deployments restore a;b', '<name> is not accepted: use 1 to 63'],
    ['containers list --volume a;b', '--volume is not accepted: use 1 to 63'],
    ['containers create a/b/c --size 0', '--size must be more than 0'],
    ['lun create a/l;l --volume v --clone c', 'LUN in <lun> is not accepted: use 1 to 63'],
    ['lun create a/l --volume v;v --clone c', '--volume is not accepted: use 1 to 63'],
    ['lun map a/l --initiator nobody', '--initiator is not accepted'],
    ['lun list a;b', '<array> is not accepted: use 1 to 63'],
    ['stage --host h --to a/v/c;c --domain d', 'NAME in --to is not accepted: use 1 to 63'],
    ['stage --host h --to a/v/c --domain d --headroom 1001', '--headroom must be at most 1000'],
    ['stage --host h --to a/v/c --image x --memory 1G --cpus 0', '--cpus must be at least 1'],
    ['stage --host h --to a/v/c --host-image x --memory 0', '--memory must be more than 0'],
    ['array add a;b --ssh x --volume v=/v --portal p:1', '<name> is not accepted: use 1 to 63'],
    ['array add a --ssh x;y --volume v=/v --portal p:1', '--ssh is not accepted: use a host name'],
    ['array add a --ssh x --volume v=v --portal p:1', '--volume is not accepted: use an absolute path'],
    ['array add a --ssh x --volume v=/v --portal p', '--portal is not accepted: use host:port'],
    ['array add a --ssh x --volume v=/v --portal p:1 --lun-limit 0', '--lun-limit must be at least 1'],
    ['array add a --ssh x --volume v=/v --portal p:1 --iqn-prefix x', '--iqn-prefix is not accepted'],
    ['host add a --ssh x --state-dir y', '--state-dir is not accepted: use an absolute path'],
    ['host vms a;b', '<name> is not accepted: use 1 to 63'],
    ['deploy web --host h --wait soon', 'Write "serial:TEXT" or "agent".'],
    ['deploy database --host h --wait agent', '--wait needs --start'],
    ['stage --host h --to a/v/c', 'Give exactly one of --domain'],
    ['stage --host h --to a/v/c --domain d --ovf x', 'There is more than one source'],
    ['stage --host h --to a/v/c --image x', '--memory'],
    ['stage --host h --to a/v/c --domain d --size big', 'Write sizes as'],
    ['stage --host h --to a/v/c --domain d --file-system fat', 'Allowed choices are ext4, xfs, ntfs'],
    ['lun create a/l --volume v', 'exactly one of --container'],
    ['lun map a/l', 'either --host or --initiator'],
    ['jobs show none', 'There is no such job'],
    ['jobs show job', 'Several jobs begin like this'],
    ['array show none', 'There is no such array'],
  ])('%s', async (line, words) => {
    const run = await runGantry(line.replace('deploy web', 'deploy lab-array/vol1/web').split(' '))
    expect([2, 3]).toContain(run.exitCode)
    expect(run.out).toBe('')
    expect(run.err).toContain(words)
    const json = await runGantry([
      ...line.replace('deploy web', 'deploy lab-array/vol1/web').split(' '),
      '--json',
    ])
    expect(JSON.parse(json.out)).toMatchObject({
      error: { code: expect.stringMatching(/bad-request|not-found/) as string },
    })
  })

  test('nothing at all shows the help', async () => {
    const run = await runGantry([])
    expect(run.exitCode).toBe(2)
    expect(run.err).toContain('Usage: gantry')
  })
})

test('--version', async () => {
  expect(await runGantry(['--version'])).toMatchObject({ exitCode: 0, out: '1.2.3\n' })
})

test('what a device says cannot drive the terminal', async () => {
  const run = await runGantry(['jobs', 'show', 'evil'], {
    before: (core) => core.setJob(sampleJob('evil', { title: 'a\u001b]0;owned\u0007b\u202ec' })),
  })
  expect(run.out).toContain('a\\x1b]0;owned\\x07b\\x202ec')
})

describe('jobs', () => {
  test.each([
    ['undo', 0, 'undone'],
    ['resume', 0, 'done'],
  ])('%s waits for the end', async (verb, exitCode, state) => {
    const run = await runGantry(['jobs', verb, 'job-stu', '--json'])
    expect(run.exitCode).toBe(exitCode)
    expect(JSON.parse(run.out)).toMatchObject({ jobs: [{ id: 'job-stuck', state }] })
    // the person decides about this job: recovery must not decide first
    expect(run.recoveries).toBe(0)
  })

  test('recover gives 10 while a job needs the operator', async () => {
    expect((await runGantry(['jobs', 'recover'])).exitCode).toBe(10)
    expect(await runGantry(['jobs', 'recover'], { filled: false })).toMatchObject({
      exitCode: 0,
      recoveries: 1,
    })
  })
})
