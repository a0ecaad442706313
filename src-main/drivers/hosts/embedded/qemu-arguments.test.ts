import { describe, expect, test } from 'vitest'
import { MiB } from '#shared/units/bytes.ts'
import { buildDomain } from '#main/protocols/domain-xml/build-domain.ts'
import { readDomain } from '#main/protocols/domain-xml/read-domain.ts'
import { describeVm } from './describe-vm.ts'
import { vmPlaces } from './places.ts'
import { qemuArguments } from './qemu-arguments.ts'

const uuid = 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee'
const lun = {
  name: 'web',
  target: 'iqn.2026-11.example:web',
  lun: 1,
  serial: 'S1',
  naa: '6'.padEnd(32, '0'),
  portal: '[::1]:3260',
}
const places = vmPlaces('/data, odd', uuid)

function argumentsOf(
  vm: Partial<Parameters<typeof buildDomain>[0]> = {},
  change = (text: string) => text,
): string[] {
  const template = buildDomain(
    { name: 'template', memoryBytes: 96 * MiB, cpus: 3, firmware: 'bios', ...vm },
    [
      { name: 'disk0', format: 'qcow2' },
      { name: 'disk1', format: 'vhd' },
    ],
  )
  const { configuration } = describeVm('/data, odd', {
    name: 'web',
    uuid,
    lun,
    initiator: 'iqn.2026-11.example:console',
    template: { ...template, text: change(template.text) },
    disks: [
      { index: 0, offsetBytes: 32 * MiB, sizeBytes: 4 * MiB },
      { index: 1, offsetBytes: 36 * MiB, sizeBytes: 1024 },
    ],
  })
  return qemuArguments({ name: 'web', uuid, domain: readDomain(configuration.text, 'it') }, places, {
    accelerator: 'tcg',
  })
}
const after = (args: readonly string[], option: string): string[] =>
  args.flatMap((arg, index) => (args[index - 1] === option ? [arg] : []))

describe('qemuArguments', () => {
  test('B6: each disk is a region of the LUN, whatever format the image had; the guest sees nothing else of it', () => {
    const nodes = after(argumentsOf(), '-blockdev').map((text) => JSON.parse(text) as object)
    expect(nodes).toEqual([
      expect.objectContaining({ driver: 'raw', offset: 32 * MiB, size: 4 * MiB }),
      expect.objectContaining({ driver: 'raw', offset: 36 * MiB, size: 1024 }),
    ])
    for (const node of nodes)
      expect(node).toMatchObject({
        file: {
          driver: 'iscsi',
          portal: '[::1]:3260',
          target: lun.target,
          lun: 1,
          'initiator-name': 'iqn.2026-11.example:console',
        },
      })
  })

  test('memory, CPUs, identity and boot order are those of the configuration; commas of paths are doubled', () => {
    const args = argumentsOf()
    expect(after(args, '-m')).toEqual(['96M'])
    expect(after(args, '-smp')).toEqual(['3'])
    expect(after(args, '-machine')).toEqual(['q35,accel=tcg'])
    expect(after(args, '-smbios')).toEqual([`type=1,uuid=${uuid},serial=ds=nocloud;h=web`])
    expect(after(args, '-qmp')).toEqual([`unix:/data,, odd/vms/${uuid}/qmp,server=on,wait=off`])
    expect(after(args, '-pidfile')).toEqual([places.pidFile])
    const devices = after(args, '-device')
    expect(devices).toContain('virtio-blk-pci,drive=disk0,bootindex=1,werror=stop,rerror=stop')
    expect(devices).toContain('virtio-blk-pci,drive=disk1,bootindex=2,werror=stop,rerror=stop')
    expect(devices.find((device) => device.startsWith('virtio-net-pci'))).toMatch(
      /mac=52:54:00(:[0-9a-f]{2}){3}$/,
    )
  })

  test('sata disks are on ports of the machine, with a network card that needs no driver of the hypervisor', () => {
    const devices = after(argumentsOf({ diskBus: 'sata' }), '-device')
    expect(devices.filter((device) => device.startsWith('ide-hd'))).toEqual([
      'ide-hd,bus=ide.0,drive=disk0,bootindex=1,werror=stop,rerror=stop',
      'ide-hd,bus=ide.1,drive=disk1,bootindex=2,werror=stop,rerror=stop',
    ])
    expect(devices.some((device) => device.startsWith('e1000e,'))).toBe(true)
  })

  test.each([
    ['another processor', (text: string) => text.replace('arch="x86_64"', 'arch="aarch64"')],
    ['a bus that is not given', (text: string) => text.replace('bus="virtio"', 'bus="usb"')],
    [
      'a network card that is not given',
      (text: string) => text.replace('type="virtio"/>', 'type="ne2k_pci"/>'),
    ],
  ])('%s is refused', (_, change) => {
    expect(() => argumentsOf({}, change)).toThrow(
      expect.objectContaining({ code: 'not-supported', object: 'VM web' }),
    )
  })

  test('a VM with disks in files is refused: it is not of a container of disks', () => {
    const { text } = buildDomain({ name: 'web', memoryBytes: MiB, cpus: 1, firmware: 'bios' }, [
      { name: '/etc/passwd', format: 'raw' },
    ])
    expect(() =>
      qemuArguments({ name: 'web', uuid, domain: readDomain(text, 'it') }, places, { accelerator: 'tcg' }),
    ).toThrow(expect.objectContaining({ code: 'not-supported' }))
  })
})
