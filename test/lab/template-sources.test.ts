import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ImageFormat } from '#shared/domain/compute.ts'
import type { FileSystemType } from '#shared/domain/storage.ts'
import { exitCodes } from '#shared/errors/user-text.ts'
import { MiB } from '#shared/units/bytes.ts'
import { describeLab, theLab } from './describe-lab.ts'
import { exec } from './exec.ts'
import { expectRefusal } from './expect-refusal.ts'
import { runWithFault } from './fault-at.ts'
import { GantryCommand, sshOptions } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { DeviceInventory } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import {
  expectUp,
  hashFile,
  listDeployments,
  makeLastingFolders,
  runJobs,
  showContainer,
  stepIds,
} from './main-job-support.ts'
import { CuttingProxy } from './ssh/proxy.ts'
import { startSshd } from './ssh/sshd.ts'
import { writeOva } from './template/ova.ts'

interface Source {
  readonly what: string
  /** Name of the container and of the VM. */
  readonly name: string
  readonly source: (lab: Lab, images: string) => readonly string[]
  readonly fileSystem: FileSystemType
  readonly table: 'gpt' | 'mbr'
  /** Of the disk in the container. */
  readonly format: ImageFormat
}

const converted = /^from-(vhdx|vmdk|ova)$/
/** Whose configuration Gantry makes itself; the tiny guest then finds no name in it, only its UUID. */
const builtByGantry = /^from-(raw|vhd|qcow2|vhdx|vmdk|ova)$/

const hardware = ['--memory', '32M']
const onHost = (file: string) => (_: Lab, images: string) => [
  ...['--host-image', join(images, file)],
  ...hardware,
]
const onConsole = (file: string) => (_: Lab, images: string) => ['--image', join(images, file), ...hardware]

/** The array's machine as a server that only has files, and what it takes to log in there. */
const onServer = (lab: Lab, path: string, { user = 'root', port = lab.state.array.sshPort } = {}): string =>
  `sftp://${user}@127.0.0.1:${port}${path}`
const login = (lab: Lab): string[] => sshOptions(lab, 'array').slice(2)

const sources: readonly Source[] = [
  {
    what: 'a VM of the host',
    name: 'from-domain',
    source: ({ state }) => ['--domain', state.tiny.domain],
    ...{ fileSystem: 'xfs', table: 'gpt', format: 'raw' },
  },
  {
    what: 'a folder on the host',
    name: 'from-host-folder',
    source: ({ state }) => ['--host-folder', state.tiny.folder],
    ...{ fileSystem: 'ntfs', table: 'gpt', format: 'raw' },
  },
  {
    what: 'a folder of this computer',
    name: 'from-folder',
    source: ({ state }) => ['--folder', state.tiny.folder],
    ...{ fileSystem: 'ext4', table: 'mbr', format: 'raw' },
  },
  {
    what: 'a folder of a third server',
    name: 'from-server',
    source: (lab) => ['--folder', onServer(lab, lab.state.tiny.folder), ...login(lab)],
    ...{ fileSystem: 'xfs', table: 'gpt', format: 'raw' },
  },
  {
    what: 'a raw image on the host',
    name: 'from-raw',
    source: onHost('tiny.raw'),
    ...{ fileSystem: 'ntfs', table: 'mbr', format: 'raw' },
  },
  {
    what: 'a VHD on the host',
    name: 'from-vhd',
    source: onHost('tiny.vhd'),
    ...{ fileSystem: 'ext4', table: 'gpt', format: 'vhd' },
  },
  {
    what: 'a qcow2 image of this computer',
    name: 'from-qcow2',
    source: onConsole('tiny.qcow2'),
    ...{ fileSystem: 'xfs', table: 'mbr', format: 'qcow2' },
  },
  {
    what: 'a VHDX on the host, converted',
    name: 'from-vhdx',
    source: onHost('tiny.vhdx'),
    ...{ fileSystem: 'ext4', table: 'gpt', format: 'qcow2' },
  },
  {
    what: 'a VMDK of this computer, converted',
    name: 'from-vmdk',
    source: onConsole('tiny.vmdk'),
    ...{ fileSystem: 'ext4', table: 'gpt', format: 'qcow2' },
  },
  {
    what: 'an OVA of this computer, converted',
    name: 'from-ova',
    source: (_, images) => ['--ovf', join(images, 'tiny.ova')],
    ...{ fileSystem: 'ext4', table: 'gpt', format: 'qcow2' },
  },
]

const imageOptions: Readonly<Record<string, readonly string[]>> = {
  'tiny.vhd': ['-O', 'vpc', '-o', 'subformat=dynamic,force_size=on'],
  'tiny.qcow2': ['-O', 'qcow2'],
  'tiny.vhdx': ['-O', 'vhdx'],
  'tiny.vmdk': ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
}

/** The tiny template in every form, in a folder that this computer and the host both see. */
async function makeImages(lab: Lab): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'gantry-images-'))
  const { raw } = lab.state.tiny
  await exec('cp', [raw, join(dir, 'tiny.raw')])
  for (const [name, options] of Object.entries(imageOptions))
    await exec('qemu-img', ['convert', '-f', 'raw', ...options, raw, join(dir, name)])
  await writeOva(dir, { name: 'tiny', memoryMiB: 32, vmdk: 'tiny.vmdk', capacityBytes: 4 * MiB })
  return dir
}

describeLab('VM data from every source, by the gantry command', () => {
  const devices = { only: ['array', 'host'] } as const
  let lab: Lab
  let gantry: GantryCommand
  let images: string
  let before: DeviceInventory

  beforeAll(async () => {
    lab = theLab()
    await makeLastingFolders(lab)
    gantry = new GantryCommand()
    await gantry.addLab(lab)
    images = await makeImages(lab)
    before = await observeDevices(lab, devices)
  })
  // Of a test that failed; otherwise nothing is there any more.
  afterAll(async () => {
    const names = (await listDeployments(gantry)).map(({ name }) => name)
    if (names.length > 0) await gantry.run(['decommission', ...names, '--yes'])
    for (const name of names) await gantry.run(['containers', 'delete', `array/vol1/${name}`, '--yes'])
    rmSync(images, { recursive: true })
    gantry.dispose()
  })

  test.each(sources)(
    'A1-A8, A11: $what on $fileSystem and $table is staged, deployed, and its guest is up',
    async ({ name, source, fileSystem, table, format }) => {
      const container = `array/vol1/${name}`
      const [staged] = await runJobs(gantry, [
        ...['stage', ...source(lab, images), '--host', 'host', '--to', container],
        ...['--file-system', fileSystem, '--partition-table', table],
      ])
      expect(staged === undefined ? [] : stepIds(staged).includes('convert-0')).toBe(converted.test(name))
      const { state, problems, header } = await showContainer(gantry, container)
      expect({ state, problems }).toEqual({ state: 'ok', problems: [] })
      expect(header).toMatchObject({
        fileSystem: { type: fileSystem },
        disks: [{ index: 0, format, sizeBytes: 4 * MiB }],
      })
      const path = `${lab.state.array.volumes.vol1}/containers/${name}.ctr`
      const { stdout: found } = await lab.array.machine.run(`sfdisk -J ${path}`)
      expect(JSON.parse(found)).toMatchObject({
        partitiontable: { label: table === 'gpt' ? 'gpt' : 'dos' },
      })

      await runJobs(gantry, [
        ...['deploy', container, '--host', 'host', '--name-pattern', name],
        ...['--start', '--wait', 'serial:VMREADY'],
      ])
      const deployed = (await listDeployments(gantry)).filter((deployment) => deployment.name === name)
      await expectUp(lab, deployed, { knowsName: !builtByGantry.test(name) })
    },
  )

  describe('a third server', () => {
    const files = { only: ['array', 'host'] } as const
    let clean: DeviceInventory
    beforeAll(async () => {
      clean = await observeDevices(lab, files)
    })
    const stage = (...source: string[]) => ['stage', ...source, '--host', 'host', '--to', 'array/vol1/bad']
    const show = (...source: string[]) =>
      gantry.run(['template', 'show', '--host', 'host', '--memory', '32M', ...source])

    /** Beside the images, with a byte of its disk changed. */
    function damagedOva(): string {
      const path = join(images, 'damaged.ova')
      const bytes = readFileSync(join(images, 'tiny.ova'))
      const middle = Math.floor(bytes.length / 2)
      bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle)
      writeFileSync(path, bytes)
      return path
    }

    test('A6: an OVA whose disk is not the one of its manifest, in both layouts: nothing stays', async () => {
      const source = ['--ovf', onServer(lab, damagedOva()), ...login(lab)]
      const said = { object: 'tiny.vmdk', message: /not the file of the OVF's manifest/ }
      expectRefusal(await gantry.run(stage(...source)), 'bad-request', said)
      const temporary = join(images, 'temporary')
      mkdirSync(temporary)
      const disks = ['stage', '--layout', 'disks', ...source, '--to', 'array/vol1/bad']
      expectRefusal(await gantry.run(disks, { env: { TMPDIR: temporary } }), 'bad-request', said)
      expect(readdirSync(temporary)).toEqual([])
      expect(await lastingDifferences(lab, clean, files)).toEqual([])
    })

    test('A1-A8: an OVA becomes disks, and nothing of it stays on this computer', async () => {
      const temporary = join(images, 'temporary')
      mkdirSync(temporary, { recursive: true })
      const source = ['--ovf', onServer(lab, join(images, 'tiny.ova')), ...login(lab)]
      const to = ['--to', 'array/vol1/as-disks']
      const args = ['stage', '--layout', 'disks', ...source, ...to]
      const env = { TMPDIR: temporary }
      // the first one is killed with the disk on its way; the second one cleans up after it
      await gantry.run(args, { env: { ...env, GANTRY_FAIL_AT: 'stage-disks/write/after-intent' } })
      expect(readdirSync(temporary)).toHaveLength(1)
      await gantry.ok(args, { env })
      const { header } = await showContainer(gantry, 'array/vol1/as-disks')
      expect(header).toMatchObject({
        layout: 'disks',
        disks: [{ sizeBytes: 4 * MiB, sha256: await hashFile(lab.state.tiny.raw) }],
        stagedFrom: expect.stringContaining(`on server root@127.0.0.1:${lab.state.array.sshPort}`),
      })
      expect(readdirSync(temporary)).toEqual([])
      await gantry.ok(['containers', 'delete', 'array/vol1/as-disks', '--yes'])
    })

    test.each(['cut', 'silent until Ctrl-C'])(
      'the connection is %s in the middle: all is undone',
      async (how) => {
        const proxy = await CuttingProxy.start(lab.state.array.sshPort)
        const known = join(images, 'known_hosts')
        const keys = readFileSync(lab.state.ssh.knownHostsFile, 'utf8')
        writeFileSync(known, keys.replaceAll(`]:${lab.state.array.sshPort} `, `]:${proxy.port} `))
        const folder = onServer(lab, lab.state.tiny.folder, { port: proxy.port })
        const result = await runWithFault(
          gantry,
          stage('--folder', folder, ...login(lab), '--known-hosts', known),
          {
            point: 'stage/send-0/after-intent',
            fault(pid) {
              const interrupt = { instead: () => void process.kill(pid, 'SIGINT') }
              proxy.options = { afterServerBytes: 2 * MiB, ...(how === 'cut' ? {} : interrupt) }
            },
          },
        )
        const { port } = proxy
        await proxy.stop()
        if (how === 'cut') expectRefusal(result, 'unreachable', { object: `root@127.0.0.1:${port}` })
        else expect({ code: result.code, said: result.stderr }).toMatchObject({ code: exitCodes.cancelled })
        expect(await lastingDifferences(lab, clean, files)).toEqual([])
      },
    )

    test('what is not there, may not be read, or is a link out of its folder', async () => {
      const { folder } = lab.state.tiny
      const missing = await show('--image', onServer(lab, '/no/such.raw'), ...login(lab))
      expectRefusal(missing, 'not-found', { object: '/no/such.raw on server root@127.0.0.1' })
      const secret = onServer(lab, join(images, 'tiny.raw'), { user: lab.state.host.userWithoutRights })
      const refused = await show('--image', secret, ...login(lab))
      expectRefusal(refused, 'auth-failed', { object: 'tiny.raw', message: /no right/ })
      const linked = join(images, 'linked')
      mkdirSync(linked)
      const xml = readFileSync(join(folder, 'vm.xml'), 'utf8')
      writeFileSync(join(linked, 'vm.xml'), xml)
      symlinkSync(lab.state.tiny.raw, join(linked, 'disk0.raw'))
      const link = await gantry.run(stage('--folder', onServer(lab, linked), ...login(lab)))
      expectRefusal(link, 'bad-request', { object: linked, message: /is a link/ })
    })

    test('a server without SFTP, a host key that has changed or that nobody knows', async () => {
      const sshd = await startSshd()
      try {
        const image = `sftp://127.0.0.1:${sshd.port}${lab.state.tiny.raw}`
        const options = ['--identity', sshd.clientKey, '--no-agent', '--ssh-config', 'none']
        const none = await show('--image', image, ...options, '--known-hosts', sshd.knownHosts)
        expectRefusal(none, 'not-supported', { object: `server 127.0.0.1:${sshd.port}`, message: /SFTP/ })
        const unknown = await show('--image', image, ...options)
        expectRefusal(unknown, 'bad-request', { object: '127.0.0.1', advice: /--accept-host-key SHA256:/ })
        const other = join(images, 'other_hosts')
        const keys = readFileSync(lab.state.ssh.knownHostsFile, 'utf8')
        writeFileSync(other, keys.replaceAll(`]:${lab.state.array.sshPort} `, `]:${sshd.port} `))
        const changed = await show('--image', image, ...options, '--known-hosts', other)
        expectRefusal(changed, 'auth-failed', { object: '127.0.0.1', message: /has changed/ })
      } finally {
        await sshd.stop()
      }
    })
  })

  test('A15: all of them are decommissioned at once, and with their containers nothing is left', async () => {
    const names = (await listDeployments(gantry)).map(({ name }) => name)
    expect(names).toHaveLength(sources.length)
    await runJobs(gantry, ['decommission', ...names, '--yes'])
    for (const name of names) await gantry.ok(['containers', 'delete', `array/vol1/${name}`, '--yes'])
    // The folder of the containers stays on the volume.
    const left = await lastingDifferences(lab, before, { ...devices, patienceMs: 2000 })
    expect(left.filter((line) => !/vol1\/(containers|clones|snapshots) is new: folder$/.test(line))).toEqual(
      [],
    )
  })
})
