import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ImageFormat } from '#shared/domain/compute.ts'
import type { FileSystemType } from '#shared/domain/storage.ts'
import { MiB } from '#shared/units/bytes.ts'
import { describeLab, theLab } from './describe-lab.ts'
import { exec } from './exec.ts'
import { GantryCommand } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { DeviceInventory } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import {
  expectUp,
  listDeployments,
  makeLastingFolders,
  runJobs,
  showContainer,
  stepIds,
} from './main-job-support.ts'
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
