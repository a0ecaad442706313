import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeLab, theLab } from './describe-lab.ts'
import { exec } from './exec.ts'
import { expectRefusal } from './expect-refusal.ts'
import { arrayOptions, hostOptions, sshOptions } from './gantry-command.ts'
import { observeDevices, lastingDifferences } from './inventory-of-devices.ts'
import type { DeviceInventory } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import { ProxiedLab } from './proxied-lab.ts'
import { makeKeptFolders } from './kept-folders.ts'

/** What people and scripts type wrongly. Each is one clear error; the devices are as before. */
describeLab('bad input', () => {
  let lab: Lab
  let console: ProxiedLab
  let dir: string
  let before: DeviceInventory

  beforeAll(async () => {
    lab = theLab()
    await makeKeptFolders(lab)
    before = await observeDevices(lab)
    console = await ProxiedLab.start(lab)
    dir = mkdtempSync(join(tmpdir(), 'gantry-input-'))
  })
  afterAll(async () => {
    await console.stop()
    rmSync(dir, { recursive: true, force: true })
    expect(await lastingDifferences(lab, before)).toEqual([])
  })

  const run = (...args: string[]) => console.gantry.run(args)
  const stageTiny = (to: string, ...more: string[]) =>
    run('stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', to, ...more)
  const stageFrom = (...source: string[]) =>
    run('stage', ...source, '--host', 'host', '--to', 'array/vol1/bad')

  describe('ways to a device', () => {
    const addHost = (ssh: string, options: Partial<Record<string, string>> = {}, more: string[] = []) => {
      const given = {
        '--identity': lab.state.ssh.identityFile,
        '--known-hosts': lab.state.ssh.knownHostsFile,
      }
      const named = Object.entries({ ...given, ...options }).flatMap(([name, value]) => [name, value ?? ''])
      return run(
        'host',
        'add',
        'h2',
        '--ssh',
        ssh,
        ...named,
        '--ssh-config',
        'none',
        ...hostOptions(lab),
        ...more,
      )
    }
    const address = () => `root@127.0.0.1:${lab.state.host.sshPort}`
    const fingerprint = (file: string) =>
      execFileSync('ssh-keygen', ['-l', '-f', file], { encoding: 'utf8' }).split(' ')[1] ?? ''

    afterAll(async () => {
      const hosts = await console.gantry.json<{ config: { name: string } }[]>(['host', 'list'])
      expect(hosts.map(({ config }) => config.name)).toEqual(['host'])
    })

    test('a name that nobody knows', async () => {
      const result = await addHost('root@no-such-host.invalid')
      expectRefusal(result, 'unreachable', {
        object: 'no-such-host.invalid',
        message: /name service/,
        advice: /host name/,
      })
    })

    test('a port that refuses', async () => {
      const result = await addHost('root@127.0.0.1:1')
      expectRefusal(result, 'unreachable', {
        object: '127.0.0.1:1',
        message: /refuses/,
        advice: /SSH service/,
      })
    })

    test('a user that the device does not let in', async () => {
      const result = await addHost(`nobody9@127.0.0.1:${lab.state.host.sshPort}`)
      expectRefusal(result, 'auth-failed', { object: 'h2', message: /does not let us in/, advice: /user/ })
    })

    test('a key file that is not there', async () => {
      const result = await addHost(address(), { '--identity': join(dir, 'no-key') })
      expectRefusal(result, 'auth-failed', { object: 'h2', advice: /key/ })
    })

    test('a changed host key: both fingerprints, and never accepted', async () => {
      const key = join(dir, 'other-key')
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
      const knownHosts = join(dir, 'changed')
      const shown = readFileSync(lab.state.ssh.knownHostsFile, 'utf8')
        .split('\n')
        .find((line) => line.startsWith(`[127.0.0.1]:${lab.state.host.sshPort} `))
      writeFileSync(join(dir, 'shown.pub'), `${shown?.split(' ').slice(1).join(' ') ?? ''}\n`)
      writeFileSync(knownHosts, `[127.0.0.1]:${lab.state.host.sshPort} ${readFileSync(`${key}.pub`, 'utf8')}`)
      const real = fingerprint(join(dir, 'shown.pub'))
      for (const more of [[], ['--accept-host-key', real]]) {
        const result = await addHost(address(), { '--known-hosts': knownHosts }, more)
        expectRefusal(result, 'auth-failed', {
          object: `[127.0.0.1]:${lab.state.host.sshPort}`,
          message: /has changed/,
          advice: /known_hosts/,
        })
        expect(result.stderr).toContain(real)
        expect(result.stderr).toContain(fingerprint(`${key}.pub`))
      }
    })

    test('an unknown host key that nobody accepts, or another one than was accepted', async () => {
      const knownHosts = join(dir, 'empty')
      writeFileSync(knownHosts, '')
      const unknown = await addHost(address(), { '--known-hosts': knownHosts })
      expectRefusal(unknown, 'bad-request', {
        object: `[127.0.0.1]:${lab.state.host.sshPort}`,
        message: /must be confirmed/,
        advice: /--accept-host-key SHA256:/,
      })
      const wrong = ['--accept-host-key', 'SHA256:0000000000000000000000000000000000000000000']
      const refused = await addHost(address(), { '--known-hosts': knownHosts }, wrong)
      expectRefusal(refused, 'auth-failed', { object: '127.0.0.1', message: /not the accepted one/ })
    })
  })

  describe('names', () => {
    const badNames: [string, string][] = [
      ['spaces', 'my web'],
      ['quotes', `a'b"c`],
      ['a line break', 'a\nb'],
      ['a command', '$(reboot)'],
      ['a backtick', '`id`'],
      ['a semicolon', 'a;id'],
      ['a leading hyphen', '-rf'],
      ['dots', '..'],
      ['300 characters', 'x'.repeat(300)],
      ['letters beyond ASCII', 'wéb'],
      ['a right-to-left override', 'a\u202eb'],
    ]
    // each command in its turn, so that every name and every place is met
    const places: ((name: string) => [args: string[], field: string])[] = [
      (name) => [['stage', '--domain', 'x', '--host', 'host', '--to', `array/vol1/${name}`], 'NAME in --to'],
      (name) => [['containers', 'create', `array/vol1/${name}`, '--size', '16M'], 'NAME in <container>'],
      (name) => [['lun', 'create', `array/${name}`, '--volume', 'vol1', '--container', 'x'], 'LUN in <lun>'],
      (name) => [['decommission', '--yes', '--', name], '<name>'],
      (name) => [
        ['array', 'add', ...sshOptions(console.lab, 'array'), ...arrayOptions(console.lab), '--', name],
        '<name>',
      ],
      (name) => [
        ['host', 'add', ...sshOptions(console.lab, 'host'), ...hostOptions(console.lab), '--', name],
        '<name>',
      ],
    ]
    const cases = badNames.map(([what, name], index) => ({
      what,
      name,
      place: places[index % places.length],
    }))
    test.each(cases)('with $what: refused before anything is sent', async ({ name, place }) => {
      const sent = console.connections
      const [args, field] = place?.(name) ?? [[], '']
      expectRefusal(await console.gantry.run(args), 'bad-request', {
        object: `${field} is not accepted`,
        message: /1 to 63 letters/,
      })
      expect(console.connections).toBe(sent)
    })

    test.each(["$(touch /pwned);id' \n", '--help'])(
      'of a VM on the host is looked up as it is: %j',
      async (domain) => {
        const result = await stageFrom('--domain', domain)
        expectRefusal(result, 'not-found', { object: '', message: /not on the host/ })
        expect((await lab.host.machine.run('ls /')).stdout).not.toContain('pwned')
      },
    )
  })

  describe('things that are not there', () => {
    const cases: [string, string[], string][] = [
      ['host', ['stage', '--domain', 'x', '--host', 'nohost', '--to', 'array/vol1/x'], 'host nohost'],
      ['array', ['stage', '--domain', 'x', '--host', 'host', '--to', 'noarray/vol1/x'], 'array noarray'],
      ['volume', ['stage', '--domain', 'gantry-tiny', '--host', 'host', '--to', 'array/no/x'], 'array array'],
      ['container', ['deploy', 'array/vol1/nosuch', '--host', 'host'], 'container array/vol1/nosuch'],
      ['known container', ['deploy', 'nosuch', '--host', 'host'], 'container nosuch'],
      ['deployment', ['decommission', 'nosuch', '--yes'], 'deployment nosuch'],
      ['LUN', ['lun', 'destroy', 'array/nosuch', '--yes'], 'LUN "nosuch"'],
      ['job', ['jobs', 'show', 'nosuch'], 'job nosuch'],
    ]
    test.each(cases)('%s', async (_what, args, object) => {
      expectRefusal(await run(...args), 'not-found', { object })
    })
  })

  describe('the command line', () => {
    test.each([
      [['frobnicate'], /unknown command/],
      [['deploy'], /missing required argument|required option/],
      [['deploy', 'x', '--host', 'host', '--count', 'two'], /--count/],
      [['stage', '--host', 'host', '--to', 'a/b/c', '--size', '5Q'], /Write sizes as/],
      [['stage', '--host', 'host', '--to', 'a/b/c', '--file-system', 'fat'], /Allowed choices/],
      [['deploy', 'x', '--host', 'host', '--start', '--wait', 'soon'], /serial:TEXT/],
      [['jobs', 'list', '--nonsense'], /unknown option/],
    ])('%j', async (args, words) => {
      const { code, stderr } = await run(...args)
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(words) })
      expect(stderr).toContain('--help')
    })

    test('what must be confirmed is refused where nobody can be asked', async () => {
      for (const args of [
        ['deploy', 'array/vol1/x', '--host', 'host', '--direct'],
        ['decommission', 'x'],
        ['containers', 'delete', 'array/vol1/x'],
        ['lun', 'destroy', 'array/x'],
      ])
        expectRefusal(await run(...args), 'bad-request', { object: 'must be confirmed', advice: /--yes/ })
    })

    test('values outside of what is possible', async () => {
      const deploy = ['deploy', 'array/vol1/x', '--host', 'host']
      expectRefusal(await run(...deploy, '--count', '0'), 'bad-request', { object: '--count ' })
      expectRefusal(await run(...deploy, '--wait', 'agent'), 'bad-request', {
        object: '--wait needs --start',
      })
      const map = await run('lun', 'map', 'array/x', '--initiator', 'iqn;id')
      expectRefusal(map, 'bad-request', { object: '--initiator ' })
    })
  })

  describe('templates', () => {
    test('a folder without a configuration, a VM without disks', async () => {
      const folder = join(dir, 'empty-folder')
      mkdirSync(folder)
      expectRefusal(await stageFrom('--folder', folder), 'bad-request', {
        object: folder,
        message: /must have one/,
      })
      const xml = readFileSync(join(lab.state.tiny.folder, 'vm.xml'), 'utf8')
      writeFileSync(join(folder, 'vm.xml'), xml.replaceAll(/<disk[\s\S]*?<\/disk>/g, ''))
      expectRefusal(await stageFrom('--folder', folder), 'bad-request', {
        object: 'gantry-tiny',
        message: /disk/,
      })
    })

    test('a disk whose name lies about its format, and one that is no disk', async () => {
      const vhd = join(dir, 'disk.vhd')
      await exec('qemu-img', ['create', '-q', '-f', 'vpc', vhd, '8M'])
      const lie = join(dir, 'lie.qcow2')
      copyFileSync(vhd, lie)
      expectRefusal(await stageFrom('--image', lie, '--memory', '64M'), 'bad-request', {
        object: lie,
        message: /is a vhd image but is called qcow2/,
      })
      const junk = join(dir, 'junk.vmdk')
      writeFileSync(junk, 'no disk')
      expectRefusal(await stageFrom('--image', junk, '--memory', '64M'), 'bad-request', { object: junk })
    })

    test('an image that needs another one', async () => {
      const image = join(dir, 'child.qcow2')
      await exec('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', lab.state.tiny.raw, '-F', 'raw', image])
      const result = await stageFrom('--image', image, '--memory', '64M')
      expectRefusal(result, 'not-supported', { object: image, message: /backing file/, advice: /qemu-img/ })
    })

    test('A2: an image larger than the volume, a container smaller than the image', async () => {
      const big = join(dir, 'big.raw')
      copyFileSync(lab.state.tiny.raw, big)
      truncateSync(big, 4 * 1024 ** 3)
      const source = ['--image', big, '--memory', '64M', '--host', 'host']
      const result = await run('stage', ...source, '--to', 'array/small/big')
      expectRefusal(result, 'bad-request', {
        object: 'volume array/small',
        message: /no room/,
        advice: /another volume/,
      })
      const small = await stageTiny('array/vol1/bad', '--size', '5M')
      expectRefusal(small, 'bad-request', {
        object: 'container bad',
        message: /too small/,
        advice: /--size 12M/,
      })
    })

    test('no source, two sources, a file that is not there', async () => {
      expectRefusal(await stageFrom(), 'bad-request', { object: 'source', advice: /exactly one/ })
      const two = await stageFrom('--domain', 'x', '--folder', lab.state.tiny.folder)
      expectRefusal(two, 'bad-request', { object: 'more than one source' })
      for (const source of [
        ['--image', join(dir, 'none.raw')],
        ['--host-image', '/none.raw'],
      ])
        expectRefusal(await stageFrom(...source, '--memory', '64M'), 'not-found', { object: 'none.raw' })
    })
  })
})
