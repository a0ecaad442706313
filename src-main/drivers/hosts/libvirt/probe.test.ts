import { describe, expect, test } from 'vitest'
import { libvirtHostConfigSchema } from '#shared/domain/compute.ts'
import { createHostProbe, readProbe } from './probe.ts'
import { createLocalShell } from '#test/contract/local-shell.ts'

const config = libvirtHostConfigSchema.parse({
  name: 'h1',
  driver: 'libvirt',
  connection: { host: 'h1' },
  settings: {},
})

const complete = `name=h1
user=root
uid=0
system=Debian GNU/Linux 12 (bookworm)
initiator=iqn.1993-08.org.debian:01:abc
method=open-iscsi
iscsid=running
${['blkid', 'blockdev', 'dd', 'findmnt', 'flock', 'partx', 'sfdisk', 'wipefs', 'xargs', 'fuser', 'mkfs.ext4', 'mkfs.xfs', 'qemu-img'].map((tool) => `tool:${tool}=yes`).join('\n')}
kernel:ext4=yes
kernel:xfs=yes
stateDir=writable
library=libvirt 9.0.0
hypervisor=QEMU 7.2.22
`

describe('probe of a host', () => {
  test('U: a complete host passes every check', () => {
    const probe = readProbe(config, complete)
    expect(probe).toMatchObject({
      hostName: 'h1',
      hypervisor: 'QEMU 7.2.22 (libvirt 9.0.0)',
      initiatorName: 'iqn.1993-08.org.debian:01:abc',
      attachMethod: 'open-iscsi',
      fileSystems: ['ext4', 'xfs'],
    })
    expect(probe.checks.filter(({ ok }) => !ok)).toEqual([])
  })

  test('each missing answer fails a check that says what to do', () => {
    for (const line of [
      'uid=0',
      'iscsid=running',
      'tool:partx=yes',
      'hypervisor=QEMU 7.2.22',
      'stateDir=writable',
      'tool:fuser=yes',
      'tool:qemu-img=yes',
      'initiator=iqn.1993-08.org.debian:01:abc',
    ]) {
      const failed = readProbe(config, complete.replace(`${line}\n`, '')).checks.filter(({ ok }) => !ok)
      expect(failed, line).toHaveLength(1)
      expect(failed[0]?.advice, line).toBeTruthy()
    }
    expect(readProbe(config, '').checks.every(({ ok, advice }) => ok || advice !== undefined)).toBe(true)
  })

  test('the script answers on whatever host, also when checks fail', async () => {
    const { probe } = createHostProbe(config, createLocalShell('host here'))
    const found = await probe(AbortSignal.timeout(60_000))
    expect(found.hostName).not.toBe('')
    expect(found.checks.length).toBeGreaterThan(5)
  })
})
