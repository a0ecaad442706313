import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { ImageFormat } from '#shared/domain/compute.ts'
import { MiB } from '#shared/units/bytes.ts'
import { buildDomain } from './build-domain.ts'
import { newMacAddress } from './identity.ts'
import { readDomain } from './read-domain.ts'
import { rewriteDomain, type NewDomain } from './rewrite-domain.ts'
import { setDiskFile } from './disks.ts'

const fixture = (name: string): string =>
  readFileSync(new URL(`../../../test/fixtures/domain-xml/${name}`, import.meta.url), 'utf8')
const disk = (index: number, format: ImageFormat): NewDomain['disks'][number] => ({
  index,
  place: (element) => setDiskFile(element, `/gantry/web/disk${index}.${format}`, format),
})
const spec = (text: string, disks: NewDomain['disks']): NewDomain => ({
  name: 'web',
  uuid: 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee',
  lun: {
    name: 'web',
    target: 'iqn.2026-11.example:web',
    lun: 1,
    serial: 'S1',
    naa: '6'.padEnd(32, '0'),
    portal: 'a:3260',
  },
  template: { format: 'libvirt-xml', text },
  consoleLog: '/var/log/libvirt/qemu/gantry-aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee.console',
  disks,
})
const counter = (): (() => string) => {
  let next = 0
  return () => `52:54:00:00:00:0${next++}`
}

describe('rewriteDomain (A11, A14)', () => {
  it.each([
    ['running', [disk(0, 'raw')]],
    ['rich', [disk(1, 'vhd'), disk(0, 'qcow2')]],
  ])('%s.xml: the whole configuration for the new VM', async (name, disks) => {
    const vm = rewriteDomain(spec(fixture(`${name}.xml`), disks), counter())
    await expect(vm.configuration.text).toMatchFileSnapshot(
      `../../../test/fixtures/domain-xml/${name}.expected.xml`,
    )
  })

  it('nothing of the template VM stays: names, UUID, MAC, paths, ports', () => {
    const { configuration } = rewriteDomain(spec(fixture('rich.xml'), [disk(0, 'qcow2'), disk(1, 'vhd')]))
    for (const old of [
      'golden',
      '11111111',
      '22222222',
      '99999999',
      'aa:bb:cc',
      '/images',
      '/isos',
      '5907',
      '5707',
      '4555',
      '4444',
      'c1,c2',
      '/usr/',
      '/var/lib/libvirt',
      'nova',
    ])
      expect(configuration.text).not.toContain(old)
  })

  it('is stable: rewriting its own outcome changes nothing', () => {
    const disks = [disk(0, 'qcow2'), disk(1, 'vhd')]
    const once = rewriteDomain(spec(fixture('rich.xml'), disks), counter()).configuration.text
    expect(rewriteDomain(spec(once, disks), counter()).configuration.text).toBe(once)
  })

  it('an explicit UEFI loader keeps its path and the template of its variables, not the variables', () => {
    const text = fixture('rich.xml')
      .replace('<os firmware="efi">', '<os>')
      .replace(/<firmware>.*<\/firmware>/, '')
    const { configuration } = rewriteDomain(spec(text, [disk(0, 'qcow2'), disk(1, 'vhd')]))
    expect(configuration.text).toContain('OVMF_CODE_4M.ms.fd</loader>')
    expect(configuration.text).toContain('<nvram template="/usr/share/OVMF/OVMF_VARS_4M.ms.fd"/>')
  })

  it.each(['yes', 'no'])(
    'Secure Boot of a loader that libvirt chooses (secure="%s") is asked for as a feature',
    (secure) => {
      const text = fixture('rich.xml')
        .replace(/<firmware>.*<\/firmware>/, '')
        .replace('secure="yes"', `secure="${secure}"`)
      const { configuration } = rewriteDomain(spec(text, [disk(0, 'qcow2'), disk(1, 'vhd')]))
      expect(configuration.text).not.toContain('<loader')
      expect(configuration.text.match(/<feature .*>/g)).toEqual([
        `<feature enabled="${secure}" name="secure-boot"/>`,
      ])
    },
  )

  it.each([
    ['too few', [disk(0, 'raw')]],
    ['too many', [disk(0, 'raw'), disk(1, 'raw'), disk(2, 'raw')]],
    ['a gap', [disk(0, 'raw'), disk(2, 'raw')]],
    ['one twice', [disk(0, 'raw'), disk(0, 'raw')]],
  ])('%s disks: bad-request', (_, disks) => {
    expect(() => rewriteDomain(spec(fixture('rich.xml'), disks))).toThrow(
      expect.objectContaining({ code: 'bad-request', object: 'VM web' }),
    )
  })

  it('MAC addresses are random, unicast and of the hypervisor', () => {
    const addresses = new Set(Array.from({ length: 200 }, newMacAddress))
    expect(addresses.size).toBeGreaterThan(190)
    for (const address of addresses) expect(address).toMatch(/^52:54:00(:[0-9a-f]{2}){3}$/)
  })
})

describe('buildDomain', () => {
  const vm = { name: 'img', memoryBytes: 256 * MiB, cpus: 3, firmware: 'uefi' } as const
  const built = buildDomain(vm, [
    { name: 'disk0.vhd', format: 'vhd' },
    { name: 'disk1.raw', format: 'raw' },
  ])

  it('reads back as what it was made from, with the true driver of each format', () => {
    const facts = readDomain(built.text, 'it')
    expect(facts.vm).toEqual(vm)
    expect(facts.disks.map(({ target, source, driverType }) => [target, source, driverType])).toEqual([
      ['vda', 'disk0.vhd', 'vpc'],
      ['vdb', 'disk1.raw', 'raw'],
    ])
  })

  it('UEFI is one without Secure Boot, as the guest may not be signed', () => {
    expect(built.text).toMatch(
      /<feature enabled="no" name="enrolled-keys"\/>\s*<feature enabled="no" name="secure-boot"\/>/,
    )
    expect(buildDomain({ ...vm, firmware: 'bios' }, []).text).not.toMatch(/firmware|efi/)
  })

  it('sata disks come without any virtio device that the guest needs', () => {
    const { text } = buildDomain({ ...vm, diskBus: 'sata' }, [{ name: 'a', format: 'raw' }])
    expect(text).toContain('<target dev="sda" bus="sata"/>')
    expect(text).toContain('<model type="e1000e"/>')
  })

  it('keeps its mark through rewriting, for the choice of the accelerator', () => {
    const { configuration, macAddresses } = rewriteDomain(
      spec(built.text, [disk(0, 'vhd'), disk(1, 'raw')]),
      counter(),
    )
    expect(configuration.text).toContain('<gantry:accelerator ')
    expect(macAddresses).toEqual(['52:54:00:00:00:00'])
  })
})

describe('readDomain', () => {
  it.each([
    ['no domain', '<pool><name>a</name></pool>'],
    ['no name', '<domain><memory>1</memory></domain>'],
    ['no memory', '<domain><name>a</name></domain>'],
    ['odd memory', '<domain><name>a</name><memory unit="stones">1</memory></domain>'],
    ['odd CPUs', '<domain><name>a</name><memory>1</memory><vcpu>-1</vcpu></domain>'],
  ])('%s: bad-request', (_, text) => {
    expect(() => readDomain(text, 'The test')).toThrow(expect.objectContaining({ code: 'bad-request' }))
  })
})
