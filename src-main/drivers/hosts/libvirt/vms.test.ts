import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { MiB } from '#shared/units/bytes.ts'
import { describeVm } from './describe-vm.ts'
import { parseVms } from './list-vms.ts'

const fixture = (name: string): string =>
  readFileSync(new URL(`../../../../test/fixtures/domain-xml/${name}`, import.meta.url), 'utf8')

describe('describeVm', () => {
  it.each(['vhdx', 'vmdk'] as const)('%s, which libvirt cannot run: not-supported', (format) => {
    const lun = { name: 'web', target: 't', lun: 1, serial: 'S1', naa: '6'.padEnd(32, '0'), portal: 'a:3260' }
    expect(() =>
      describeVm({
        name: 'web',
        uuid: 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee',
        lun,
        template: { format: 'libvirt-xml', text: fixture('running.xml') },
        disks: [{ index: 0, path: '/gantry/web/disk0', format }],
      }),
    ).toThrow(expect.objectContaining({ code: 'not-supported', object: 'VM web' }))
  })
})

describe('parseVms', () => {
  const uuid = 'c6667162-8c63-49f7-b34f-8517ecd7cdf6'
  const section = `@gantry:${uuid}\nrunning\n\n${fixture('running.xml')}\n`

  it('reads marker, state and configuration; a VM that vanished meanwhile is left out', () => {
    const vms = parseVms(
      `@gantry:00000000-0000-4000-8000-000000000000\n${section}`,
      'esx1',
      '2026-11-21T00:00:00Z',
    )
    expect(vms).toEqual([
      {
        host: 'esx1',
        uuid,
        name: 'vmfile',
        state: 'running',
        memoryBytes: 128 * MiB,
        cpus: 1,
        disks: [{ device: 'vda', type: 'file', source: '/srv/vms/vmfile/disk0.raw', format: 'raw' }],
        learntAt: '2026-11-21T00:00:00Z',
        learntHow: 'host esx1: listVms',
      },
    ])
  })

  it('network disks are shown as URLs', () => {
    const text = section.replace(
      /<disk type='file'[\s\S]*?<\/disk>/,
      `<disk type='network' device='disk'><driver type='raw'/><source protocol='iscsi' name='iqn.2026-11.example:a/1'><host name='192.0.2.1' port='3260'/></source><target dev='vda'/></disk>`,
    )
    expect(parseVms(text, 'h', 'now')[0]?.disks[0]).toMatchObject({
      type: 'network',
      source: 'iscsi://192.0.2.1:3260/iqn.2026-11.example:a/1',
    })
  })
})
