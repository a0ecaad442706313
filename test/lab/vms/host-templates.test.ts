import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { libvirtHostConfigSchema, templateSchema, type Template } from '#shared/domain/compute.ts'
import { MiB } from '#shared/units/bytes.ts'
import { createHostTemplates, type HostTemplates } from '#main/drivers/hosts/libvirt/templates.ts'
import { sh } from '#main/transports/shell/script.ts'
import { capturedImages, imageBytes } from '../../fixtures/images/images.ts'
import { startPrivateLibvirtd, type PrivateLibvirtd } from './private-libvirtd.ts'

const config = libvirtHostConfigSchema.parse({
  name: 'lab',
  driver: 'libvirt',
  connection: { host: 'localhost' },
  settings: {},
})
const { signal } = new AbortController()
let lab: PrivateLibvirtd
let templates: HostTemplates
let images: string

beforeAll(async () => {
  lab = await startPrivateLibvirtd()
  templates = createHostTemplates(config, lab.shell)
  images = join(lab.directory, 'images')
  for (const { name } of capturedImages) await writeFile(join(images, name), imageBytes(name))
})
afterAll(() => lab.close())

const read = async (source: Template['source']): Promise<Template> =>
  templateSchema.parse(await templates.readTemplate(source, signal))
const disk = (source: string, type: string, dev = 'vda'): string =>
  `<disk type="file" device="disk"><driver name="qemu" type="${type}"/>${source}<target dev="${dev}" bus="virtio"/></disk>`
const file = (name: string): string => `<source file="${join(images, name)}"/>`
const domainXml = (name: string, ...disks: readonly string[]): string =>
  `<domain type="qemu"><name>${name}</name><memory unit="MiB">32</memory><vcpu>1</vcpu><os><type arch="x86_64" machine="q35">hvm</type></os><devices>${disks.join('')}</devices></domain>`
const define = async (name: string, ...disks: readonly string[]): Promise<Template['source']> => {
  const xml = domainXml(name, ...disks)
  await lab.shell.run(sh`printf '%s' ${xml} | virsh -c qemu:///system define /dev/stdin`, { signal })
  return { kind: 'domain', domain: name }
}

describe('domains of a host as templates (A1)', () => {
  it('reads configuration and true formats of all disks', async () => {
    const source = await define(
      'golden',
      disk(file('base.qcow2'), 'qcow2', 'vda'),
      disk(file('stream.vmdk'), 'vmdk', 'vdb'),
      disk(file('fixed.vhd'), 'vpc', 'vdc'),
      disk(file('plain.raw'), 'raw', 'vdd'),
    )
    const template = await read(source)
    expect(template).toMatchObject({
      name: 'golden',
      vm: { name: 'golden', memoryBytes: 32 * MiB, cpus: 1, firmware: 'bios' },
    })
    expect(template.files.map(({ name, disk: facts }) => [name, facts?.virtualSizeBytes])).toEqual([
      ['disk0.qcow2', 64 * MiB],
      ['disk1.vmdk', 64 * MiB],
      ['disk2.vhd', 4 * MiB],
      ['disk3.raw', MiB],
    ])
    expect(template.configuration.text).not.toContain(images)
  })

  it.each([
    [
      'qcow2 that is declared raw',
      disk('BASE', 'raw'),
      'base.qcow2',
      'bad-request',
      /is a qcow2 image but is called raw/,
    ],
    [
      'VHD that is declared qcow2',
      disk('BASE', 'qcow2'),
      'fixed.vhd',
      'bad-request',
      /is a vhd image but is called qcow2/,
    ],
    ['backing file', disk('BASE', 'qcow2'), 'backed.qcow2', 'not-supported', /backing file/],
    ['file that is gone', disk('BASE', 'raw'), 'gone.raw', 'not-found', /gone.raw/],
    [
      'block device',
      '<disk type="block" device="disk"><source dev="/dev/sdz"/><target dev="vda"/></disk>',
      '',
      'not-supported',
      /vda.*\/dev\/sdz/,
    ],
  ] as const)('%s: refused', async (title, xml, name, code, message) => {
    const source = await define(title.replaceAll(' ', '-'), xml.replace('BASE', file(name)))
    await expect(read(source)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('a running VM is busy; a VM that is not there, also by the id of another, is not-found', async () => {
    const source = await define('running', disk(file('plain.raw'), 'raw'))
    await lab.shell.run(sh`virsh -c qemu:///system start running`, { signal })
    await expect(read(source)).rejects.toMatchObject({ code: 'busy', advice: expect.any(String) })
    await expect(read({ kind: 'domain', domain: 'nosuch' })).rejects.toMatchObject({ code: 'not-found' })
    await expect(read({ kind: 'domain', domain: '1' })).rejects.toMatchObject({ code: 'not-found' })
    await expect(read({ kind: 'domain', domain: '--help' })).rejects.toMatchObject({ code: 'not-found' })
    await lab.shell.run(sh`virsh -c qemu:///system destroy running`, { signal })
  })
})

describe('folders and images of a host as templates', () => {
  const folder = async (name: string, xml: Readonly<Record<string, string>>): Promise<string> => {
    const path = join(lab.directory, name)
    await mkdir(path)
    for (const [file_, text] of Object.entries(xml)) await writeFile(join(path, file_), text)
    return path
  }

  it('a folder with quotes and spaces, the images by their names in it', async () => {
    const path = await folder(`it's a folder`, {
      'vm.xml': domainXml('web', disk('<source file="/old/root disk.qcow2"/>', 'qcow2')),
    })
    await writeFile(join(path, 'root disk.qcow2'), imageBytes('base.qcow2'))
    const template = await read({ kind: 'folder', on: 'host', path })
    expect(template.files).toEqual([
      {
        source: join(path, 'root disk.qcow2'),
        name: 'disk0.qcow2',
        sizeBytes: 196616,
        disk: { index: 0, format: 'qcow2', virtualSizeBytes: 64 * MiB },
      },
    ])
  })

  it('links out of the folder, no or two configurations, no folder: refused', async () => {
    const path = await folder('links', { 'vm.xml': domainXml('web', disk('<source file="x.raw"/>', 'raw')) })
    await symlink(join(images, 'plain.raw'), join(path, 'x.raw'))
    await expect(read({ kind: 'folder', on: 'host', path })).rejects.toMatchObject({
      message: expect.stringMatching(/leads out/),
    })
    const two = await folder('two', { 'a.xml': '<a/>', 'b.xml': '<b/>' })
    await expect(read({ kind: 'folder', on: 'host', path: two })).rejects.toMatchObject({
      code: 'bad-request',
    })
    await expect(read({ kind: 'folder', on: 'host', path: '/nowhere' })).rejects.toMatchObject({
      code: 'not-found',
    })
    await expect(read({ kind: 'folder', on: 'host', path: '/tmp/../etc' })).rejects.toMatchObject({
      code: 'bad-request',
    })
  })

  it('every captured image reads as it does from memory, or is refused', async () => {
    const hardware = { memoryBytes: 64 * MiB, cpus: 1, firmware: 'bios' } as const
    for (const { name, virtualSizeBytes } of capturedImages) {
      const outcome = await read({ kind: 'image', on: 'host', paths: [join(images, name)], hardware }).catch(
        (error: unknown) => error,
      )
      if (/^(backed|aes|external|flat|split|delta)/.test(name))
        expect(outcome).toMatchObject({ code: 'not-supported' })
      else expect(outcome).toMatchObject({ files: [{ disk: { virtualSizeBytes } }] })
    }
  })
})
