import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pack } from 'tar-stream'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { templateSchema, type Template } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { GiB, MiB } from '#shared/units/bytes.ts'
import { imageBytes } from '#test/fixtures/images/images.ts'
import { readConsoleTemplate } from './read-template.ts'
import { localFiles } from './local-files.ts'
import type { OpenSourceFiles } from './source-files.ts'
import { templateFileOpener } from './template-content.ts'

let root: string
let folder: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'gantry-templates-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))
beforeEach(async () => {
  folder = await mkdtemp(join(root, 'case-'))
})

const { signal } = new AbortController()
const openSourceFiles: OpenSourceFiles = (_on, until) => localFiles(until)
const deps = {
  signal,
  openSourceFiles,
  buildConfiguration: (vm: Template['vm'], disks: readonly object[]) => ({
    format: 'libvirt-xml' as const,
    text: JSON.stringify({ vm, disks }),
  }),
}
const read = async (source: Template['source']): Promise<Template> =>
  templateSchema.parse(await readConsoleTemplate(source, deps))
const put = async (name: string, content: string | Uint8Array): Promise<string> => {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}
const contentOf = async (template: Template, index = 0): Promise<Uint8Array> => {
  const file = template.files[index]
  if (file === undefined) throw new Error('no such file')
  const chunks: Uint8Array[] = []
  for await (const chunk of templateFileOpener(openSourceFiles)(template, file)(signal)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Code and first line of a refusal. */
async function refusalOf(work: Promise<unknown>): Promise<{ code: string; said: string }> {
  const error = await work.catch((thrown: unknown) => thrown)
  if (!(error instanceof AppError)) throw new Error('It was not refused')
  return { code: error.code, said: `${error.object ?? ''}: ${error.message}` }
}

const domain = (...disks: readonly string[]): string =>
  `<domain type='kvm'><name>web</name><memory unit='GiB'>1</memory><vcpu>2</vcpu><devices>${disks.join('')}</devices></domain>`
const disk = (path: string, type = 'qcow2'): string =>
  `<disk type='file' device='disk'><driver type='${type}'/><source file='${path}'/><target dev='vda'/></disk>`

describe('folder on this computer (A1)', () => {
  const source = () => ({ kind: 'folder', on: 'console', path: folder }) as const

  it('takes the images by their last names from the folder, and their content', async () => {
    await put('web.xml', domain(disk('/elsewhere/root.qcow2'), disk('C:\\vms\\data.vhd', 'vpc')))
    await put('root.qcow2', imageBytes('base.qcow2'))
    await put('data.vhd', imageBytes('fixed.vhd'))
    const template = await read(source())
    expect(template).toMatchObject({
      name: 'web',
      vm: { name: 'web', memoryBytes: GiB, cpus: 2, firmware: 'bios' },
      files: [
        {
          source: join(folder, 'root.qcow2'),
          name: 'disk0.qcow2',
          disk: { index: 0, format: 'qcow2', virtualSizeBytes: 64 * MiB },
        },
        {
          name: 'disk1.vhd',
          sizeBytes: 4194816,
          disk: { index: 1, format: 'vhd', virtualSizeBytes: 4 * MiB },
        },
      ],
    })
    expect(template.configuration.text).toContain('file="disk0.qcow2"')
    expect(template.configuration.text).not.toContain('elsewhere')
    expect(await contentOf(template, 1)).toEqual(Buffer.from(imageBytes('fixed.vhd')))
  })

  it.each([
    ['no configuration', {}, 'bad-request', /0 configurations/],
    ['two configurations', { 'a.xml': '<a/>', 'b.xml': '<b/>' }, 'bad-request', /2 configurations/],
    ['an image that is not there', { 'a.xml': domain(disk('/x/root.qcow2')) }, 'not-found', /root.qcow2/],
    ['no disks', { 'a.xml': domain() }, 'bad-request', /no disks/],
    ['a document type', { 'a.xml': `<!DOCTYPE domain>${domain()}` }, 'bad-request', /document type/],
    ['a name that is a directory', { 'a.xml': domain(disk('/images/..')) }, 'bad-request', /no image/],
    [
      'a VHD that is called qcow2',
      { 'a.xml': domain(disk('x.img')), 'x.img': imageBytes('fixed.vhd') },
      'bad-request',
      /is a vhd image but is called qcow2/,
    ],
    [
      'a qcow2 that is declared raw',
      { 'a.xml': domain(disk('x.img', 'raw')), 'x.img': imageBytes('base.qcow2') },
      'bad-request',
      /is a qcow2 image but is called raw/,
    ],
    [
      'a backing file',
      { 'a.xml': domain(disk('x.img')), 'x.img': imageBytes('backed.qcow2') },
      'not-supported',
      /backing file/,
    ],
    [
      'the same name twice',
      { 'a.xml': domain(disk('/a/x.img'), disk('/b/x.img')) },
      'bad-request',
      /two images/,
    ],
    [
      'a block device',
      { 'a.xml': domain(`<disk type='block'><source dev='/dev/sdb'/><target dev='vdc'/></disk>`) },
      'not-supported',
      /vdc.*\/dev\/sdb/,
    ],
    [
      'a kernel of the host',
      {
        'a.xml': domain(disk('x.img')).replace(
          '<devices>',
          '<os><kernel>/boot/vmlinuz</kernel></os><devices>',
        ),
      },
      'not-supported',
      /vmlinuz/,
    ],
  ] as const)('%s: %s', async (_, files, code, message) => {
    for (const [name, content] of Object.entries(files)) await put(name, content)
    expect(await refusalOf(read(source()))).toEqual({ code, said: expect.stringMatching(message) })
  })

  it('a symbolic link that leads out of the folder: bad-request', async () => {
    await writeFile(join(root, 'outside.raw'), new Uint8Array(512))
    await put('a.xml', domain(disk('x.raw', 'raw')))
    await symlink(join(root, 'outside.raw'), join(folder, 'x.raw'))
    await expect(read(source())).rejects.toMatchObject({
      code: 'bad-request',
      message: expect.stringMatching(/leads out/),
    })
  })
})

describe('images on this computer', () => {
  const hardware = { memoryBytes: GiB, cpus: 2, firmware: 'uefi' } as const

  it('several, in the given order, with the given hardware', async () => {
    const paths = [
      await put('Web Server.img', imageBytes('plain.raw')),
      await put('data.vhdx', imageBytes('dynamic.vhdx')),
    ]
    const template = await read({ kind: 'image', on: 'console', paths, hardware })
    expect(template.vm).toEqual({ name: 'Web-Server', ...hardware })
    expect(template.files.map((file) => file.name)).toEqual(['disk0.raw', 'disk1.vhdx'])
    expect(JSON.parse(template.configuration.text)).toMatchObject({
      disks: [
        { name: 'disk0.raw', format: 'raw' },
        { name: 'disk1.vhdx', format: 'vhdx' },
      ],
    })
    expect(template.warnings.join()).toMatch(/virtio.*VHDX; it is converted/)
  })

  it.each(['missing.qcow2', '.'])('%s is not an image', async (name) => {
    const paths = [join(folder, name)]
    await expect(read({ kind: 'image', on: 'console', paths, hardware })).rejects.toMatchObject({
      code: name === '.' ? 'bad-request' : 'not-found',
    })
  })

  it('a file that changed since: stale', async () => {
    const path = await put('a.raw', new Uint8Array(1024))
    const template = await read({ kind: 'image', on: 'console', paths: [path], hardware })
    await truncate(path, 512)
    await expect(contentOf(template)).rejects.toMatchObject({
      code: 'stale',
      message: expect.stringMatching(/512 bytes, not 1024/),
    })
  })
})

const vmdk = imageBytes('stream.vmdk')
const ovf = (
  changes: { href?: string; size?: number; file?: string; disk?: string; section?: string } = {},
): string => `<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="r" xmlns:vmw="v">
  <References><File ovf:id="f1" ovf:href="${changes.href ?? 'disk.vmdk'}" ovf:size="${changes.size ?? vmdk.length}" ${changes.file ?? ''}/></References>
  <DiskSection><Info/><Disk ovf:diskId="d1" ovf:fileRef="f1" ovf:capacity="64" ovf:capacityAllocationUnits="byte * 2^20" ${changes.disk ?? ''}/></DiskSection>
  ${changes.section ?? ''}
  <VirtualSystem ovf:id="web01"><Name>Web 01</Name>
    <VirtualHardwareSection>
      <Item><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>
      <Item><rasd:HostResource>ovf:/disk/d1</rasd:HostResource><rasd:ResourceType>17</rasd:ResourceType></Item>
      <vmw:Config vmw:key="firmware" vmw:value="efi"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>`
const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex')
const manifest = (descriptor: string, image: Uint8Array = vmdk): string =>
  `SHA256(web.ovf)= ${sha256(descriptor)}\nSHA256(disk.vmdk)= ${sha256(image)}\n`

describe('OVF', () => {
  const source = (name = 'web.ovf') => ({ kind: 'ovf', on: 'console', path: join(folder, name) }) as const
  const putAll = async (descriptor: string, image: Uint8Array = vmdk): Promise<void> => {
    await put('web.ovf', descriptor)
    await put('web.mf', manifest(descriptor))
    await put('disk.vmdk', image)
  }

  it('reads hardware, firmware and disk, and streams what the manifest says', async () => {
    await putAll(ovf())
    const template = await read(source())
    expect(template).toMatchObject({
      vm: { name: 'Web-01', cpus: 2, memoryBytes: 512 * MiB, firmware: 'uefi', diskBus: 'sata' },
      files: [
        { source: 'disk.vmdk', name: 'disk0.vmdk', disk: { format: 'vmdk', virtualSizeBytes: 64 * MiB } },
      ],
    })
    expect(template.warnings.join()).toMatch(/converted to qcow2/)
    expect(await contentOf(template)).toEqual(Buffer.from(vmdk))
  })

  it('without a manifest it says that nothing can be checked', async () => {
    await put('web.ovf', ovf())
    await put('disk.vmdk', vmdk)
    expect((await read(source())).warnings.join()).toMatch(/no manifest/)
  })

  it('a disk that is not the one of the manifest: the stream fails at its end', async () => {
    const changed = Uint8Array.from(vmdk)
    changed[60_000] = 1
    await putAll(ovf(), changed)
    const template = await read(source())
    await expect(contentOf(template)).rejects.toMatchObject({
      code: 'bad-request',
      facts: { 'manifest says': `sha256 ${sha256(vmdk)}` },
    })
  })

  it('a descriptor that is not the one of the manifest: bad-request', async () => {
    await putAll(ovf())
    await put('web.ovf', ovf().replace('512', '513'))
    await expect(read(source())).rejects.toMatchObject({
      message: expect.stringMatching(/descriptor is not the one/),
    })
  })

  it.each([
    ['a path upwards', ovf({ href: '../disk.vmdk' }), 'bad-request', /plain name/],
    ['an absolute path', ovf({ href: '/etc/shadow' }), 'bad-request', /plain name/],
    ['a Windows path', ovf({ href: 'C:\\disk.vmdk' }), 'bad-request', /plain name/],
    ['a URL', ovf({ href: 'https://example.com/disk.vmdk' }), 'bad-request', /plain name/],
    ['a document type', `<!DOCTYPE x [<!ENTITY a "b">]>${ovf()}`, 'bad-request', /document type/],
    ['another size', ovf({ size: 17 }), 'bad-request', /descriptor says 17/],
    ['compression', ovf({ file: 'ovf:compression="gzip"' }), 'not-supported', /compressed/],
    ['chunks', ovf({ file: 'ovf:chunkSize="100"' }), 'not-supported', /chunks/],
    ['a delta', ovf({ disk: 'ovf:parentRef="d0"' }), 'not-supported', /delta/],
    ['several VMs', ovf({ section: '<VirtualSystemCollection/>' }), 'not-supported', /several VMs/],
    ['a file that is not there', ovf({ href: 'other.vmdk' }), 'not-found', /other.vmdk/],
    ['UTF-16', Buffer.from(ovf(), 'utf16le'), 'bad-request', /cannot be read/],
  ] as const)('%s: refused', async (_, descriptor, code, message) => {
    await put('web.ovf', descriptor)
    await put('disk.vmdk', vmdk)
    expect(await refusalOf(read(source()))).toEqual({ code, said: expect.stringMatching(message) })
  })

  describe('OVA', () => {
    interface Entry {
      name: string
      content?: string | Uint8Array
      type?: 'symlink' | 'directory' | 'link'
      linkname?: string
    }
    const archive = async (entries: readonly Entry[]): Promise<Buffer> => {
      const tar = pack()
      for (const { content = '', ...header } of entries) tar.entry({ ...header }, Buffer.from(content))
      tar.finalize()
      const chunks: Buffer[] = []
      for await (const chunk of tar) chunks.push(Buffer.from(chunk as Uint8Array))
      return Buffer.concat(chunks)
    }
    const good: Entry[] = [
      { name: 'web.ovf', content: ovf() },
      { name: 'web.mf', content: manifest(ovf()) },
      { name: 'disk.vmdk', content: vmdk },
    ]
    const readOva = async (bytes: Uint8Array): Promise<Template> => {
      await put('web.ova', bytes)
      return read(source('web.ova'))
    }

    it('streams the disk out of the archive', async () => {
      const template = await readOva(await archive(good))
      expect(template.files[0]).toMatchObject({ source: 'disk.vmdk', sizeBytes: vmdk.length })
      expect(await contentOf(template)).toEqual(Buffer.from(vmdk))
    })

    it('names longer than 100 bytes (pax)', async () => {
      const long = `${'x'.repeat(150)}.vmdk`
      const template = await readOva(
        await archive([
          { name: 'web.ovf', content: ovf({ href: long }) },
          { name: long, content: vmdk },
        ]),
      )
      expect(await contentOf(template)).toHaveLength(vmdk.length)
    })

    it('a bad manifest inside: the stream fails at its end', async () => {
      const lie = { name: 'web.mf', content: `SHA1(disk.vmdk)= ${'0'.repeat(40)}\n` }
      const template = await readOva(await archive([...good.filter(({ name }) => name !== 'web.mf'), lie]))
      await expect(contentOf(template)).rejects.toMatchObject({ code: 'bad-request' })
    })

    it.each([
      ['a path upwards', [...good, { name: '../x', content: 'x' }], /plain file name/],
      ['an absolute path', [...good, { name: '/etc/x', content: 'x' }], /plain file name/],
      ['a symbolic link', [...good, { name: 'x', type: 'symlink', linkname: '/etc/shadow' }], /link/],
      ['a hard link', [...good, { name: 'x', type: 'link', linkname: 'web.ovf' }], /link/],
      ['a directory', [...good, { name: 'x/', type: 'directory' }], /directory/],
      ['a name twice', [...good, { name: 'disk.vmdk', content: 'x' }], /twice/],
      ['two descriptors', [...good, { name: 'b.ovf', content: 'x' }], /exactly one/],
      ['no descriptor', [{ name: 'disk.vmdk', content: vmdk }], /exactly one/],
      [
        'a manifest of nonsense',
        [...good.filter(({ name }) => name !== 'web.mf'), { name: 'web.mf', content: 'MD5(x)= 00' }],
        /manifest/,
      ],
      [
        'a thousand entries',
        Array.from({ length: 1100 }, (_, index) => ({ name: `f${index}` })),
        /1000 entries/,
      ],
    ] as [string, Entry[], RegExp][])('%s: bad-request', async (_, entries, message) => {
      await expect(readOva(await archive(entries))).rejects.toMatchObject({
        code: 'bad-request',
        message: expect.stringMatching(message),
      })
    })

    it('cut at any block it is refused, or is whole without its end mark', async () => {
      const whole = await archive(good)
      for (let length = 512; length < whole.length; length += 512) {
        const template = await readOva(whole.subarray(0, length)).catch((error: unknown) => error)
        if (template instanceof Error)
          expect(template).toMatchObject({ code: expect.stringMatching(/bad-request|not-found/) })
        else expect(length).toBeGreaterThanOrEqual(whole.length - 1024)
      }
    })

    it('a header that claims more than the archive has: bad-request', async () => {
      const bytes = await archive(good)
      const header = bytes.subarray(0, 512)
      header.write('77777777777\0', 124, 'latin1')
      header.fill(0x20, 148, 156)
      header.write(
        header
          .reduce((sum, byte) => sum + byte, 0)
          .toString(8)
          .padStart(6, '0') + '\0 ',
        148,
        'latin1',
      )
      await expect(readOva(bytes)).rejects.toMatchObject({
        code: 'bad-request',
        message: expect.stringMatching(/ends before/),
      })
    })

    it('a header with a wrong checksum: bad-request', async () => {
      const bytes = await archive(good)
      bytes[0] = 0x21
      await expect(readOva(bytes)).rejects.toMatchObject({
        code: 'bad-request',
        message: expect.stringMatching(/checksum/),
      })
    })
  })
})

it('templates of hosts are not read here', async () => {
  await mkdir(join(folder, 'x'))
  await expect(read({ kind: 'folder', on: 'host', path: folder })).rejects.toMatchObject({ code: 'bug' })
})
