import { randomUUID } from 'node:crypto'
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { libvirtHostConfigSchema } from '#shared/domain/compute.ts'
import { GiB, MiB } from '#shared/units/bytes.ts'
import type { DefineVm, VmDefinition } from '#main/drivers/hosts/contract.ts'
import { buildDomain } from '#main/protocols/domain-xml/build-domain.ts'
import { createHostVms, type HostVms } from '#main/drivers/hosts/libvirt/vms.ts'
import { sh } from '#main/transports/shell/script.ts'
import { bootSector } from './boot-sector.ts'
import { startPrivateLibvirtd, type PrivateLibvirtd } from './private-libvirtd.ts'

const config = libvirtHostConfigSchema.parse({
  name: 'lab',
  driver: 'libvirt',
  connection: { host: 'localhost' },
  settings: {},
})
const lun: DefineVm['lun'] = {
  name: 'web',
  target: 'iqn.2026-11.gantry.array:web',
  lun: 1,
  serial: 'SN-web',
  naa: '6'.padEnd(32, '0'),
  portal: '127.0.0.1:3260',
}
const template = buildDomain({ name: 'template', memoryBytes: 32 * MiB, cpus: 1, firmware: 'bios' }, [
  { name: 'disk0.raw', format: 'raw' },
])
const { signal } = new AbortController()

let lab: PrivateLibvirtd
let vms: HostVms
let made: VmDefinition[] = []

beforeAll(async () => {
  lab = await startPrivateLibvirtd()
  vms = createHostVms(config, lab.shell)
})
afterAll(() => lab.close())

/** A VM whose disk is one boot sector. */
async function describeVm(name: string, disk: Uint8Array): Promise<VmDefinition> {
  const path = join(lab.directory, 'images', `${name}.raw`)
  await writeFile(path, disk)
  await truncate(path, MiB)
  const vm = vms.describeVm({
    name,
    uuid: randomUUID(),
    lun,
    template,
    disks: [{ index: 0, path, format: 'raw' }],
  })
  made.push(vm)
  return vm
}
const serial = (text: string) => ({ kind: 'serial', text }) as const
async function removeAll(): Promise<void> {
  for (const vm of made) {
    await vms.stopVm(vm.uuid).run({ signal })
    await vms.undefineVm(vm).run({ signal })
  }
  made = []
}

describe('VMs on a real libvirt (A11, A14, A15)', () => {
  it('registers, starts, waits for the guest, ends and removes; each step again succeeds', async () => {
    const vm = await describeVm('web', bootSector('VMREADY web\r\n'))
    for (const action of [vms.defineVm(vm), vms.defineVm(vm), vms.startVm(vm.uuid), vms.startVm(vm.uuid)])
      await action.run({ signal })
    expect(await vms.waitForGuest(vm, serial('VMREADY'), 30_000).run({ signal })).toBe('VMREADY web')
    expect(await vms.findVm(vm.uuid, signal)).toMatchObject({
      name: 'web',
      uuid: vm.uuid,
      state: 'running',
      memoryBytes: 32 * MiB,
      cpus: 1,
      disks: [{ device: 'vda', type: 'file', source: join(lab.directory, 'images/web.raw'), format: 'raw' }],
    })
    await expect(vms.undefineVm(vm).run({ signal })).rejects.toMatchObject({ code: 'busy' })
    const removal = [
      vms.stopVm(vm.uuid),
      vms.stopVm(vm.uuid),
      vms.undefineVm(vm),
      vms.undefineVm(vm),
      vms.stopVm(vm.uuid),
    ]
    for (const action of removal) await action.run({ signal })
    expect(await vms.findVm(vm.uuid, signal)).toBeUndefined()
    const logs = sh`ls -A /var/log/libvirt/qemu | grep -F ${vm.uuid}`
    expect((await lab.shell.run(logs, { signal, expectExit: [0, 1] })).stdout).toHaveLength(0)
  })

  it('the names and UUIDs of others are busy and stay as they were', async () => {
    const first = await describeVm('taken', bootSector(''))
    await vms.defineVm(first).run({ signal })
    const sameName = await describeVm('taken', bootSector(''))
    await expect(vms.defineVm(sameName).run({ signal })).rejects.toMatchObject({ code: 'busy' })
    const sameUuid = vms.describeVm({
      name: 'other',
      uuid: first.uuid,
      lun,
      template,
      disks: [{ index: 0, path: '/none', format: 'raw' }],
    })
    await expect(vms.defineVm(sameUuid).run({ signal })).rejects.toMatchObject({ code: 'busy' })
    expect((await vms.listVms(signal)).map((vm) => [vm.name, vm.uuid])).toEqual([['taken', first.uuid]])
    await removeAll()
  })

  it('a guest that stops while it is waited for: device-rejected with its last lines, at once', async () => {
    const vm = await describeVm('dying', bootSector('\u001b[31mKernel panic\r\n', 'power-off'))
    await vms.defineVm(vm).run({ signal })
    await vms.startVm(vm.uuid).run({ signal })
    await expect(vms.waitForGuest(vm, serial('VMREADY'), 60_000).run({ signal })).rejects.toMatchObject({
      code: 'device-rejected',
      message: expect.stringContaining('shut off'),
      facts: { 'last lines of the console': expect.stringMatching(/Kernel panic$/) },
    })
    await removeAll()
  })

  it('a text that never comes: timeout with the last lines, and the VM goes on', async () => {
    const vm = await describeVm('slow', bootSector('still busy\r\n'))
    await vms.defineVm(vm).run({ signal })
    await vms.startVm(vm.uuid).run({ signal })
    await vms.waitForGuest(vm, serial('still busy'), 30_000).run({ signal })
    await expect(vms.waitForGuest(vm, serial('VMREADY'), 1).run({ signal })).rejects.toMatchObject({
      code: 'timeout',
      facts: {
        state: expect.stringContaining('running'),
        'last lines of the console': expect.stringMatching(/still busy$/),
      },
    })
    await expect(vms.waitForGuest(vm, { kind: 'agent' }, 1).run({ signal })).rejects.toMatchObject({
      code: 'timeout',
    })
    expect((await vms.findVm(vm.uuid, signal))?.state).toBe('running')
    await removeAll()
  })

  it('a paused guest is not waited for', async () => {
    const vm = await describeVm('paused', bootSector('never ready\r\n'))
    await vms.defineVm(vm).run({ signal })
    await vms.startVm(vm.uuid).run({ signal })
    await lab.shell.run(sh`virsh -c qemu:///system suspend ${vm.uuid}`, { signal })
    await expect(vms.waitForGuest(vm, serial('VMREADY'), 60_000).run({ signal })).rejects.toMatchObject({
      code: 'device-rejected',
      message: expect.stringContaining('paused'),
    })
    await removeAll()
  })

  it('a cancelled wait ends and leaves no process', async () => {
    const vm = await describeVm('waiting', bootSector('nothing\r\n'))
    await vms.defineVm(vm).run({ signal })
    await vms.startVm(vm.uuid).run({ signal })
    await vms.waitForGuest(vm, serial('nothing'), 30_000).run({ signal })
    const cancel = new AbortController()
    const waiting = vms.waitForGuest(vm, serial('VMREADY'), 60_000).run({ signal: cancel.signal })
    cancel.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' })
    await removeAll()
  })

  it('a VM whose disk is not there cannot start: device-rejected in the words of libvirt', async () => {
    const vm = vms.describeVm({
      name: 'diskless',
      uuid: randomUUID(),
      lun,
      template,
      disks: [{ index: 0, path: '/nowhere/disk0.raw', format: 'raw' }],
    })
    made.push(vm)
    await vms.defineVm(vm).run({ signal })
    await expect(vms.startVm(vm.uuid).run({ signal })).rejects.toMatchObject({
      code: 'device-rejected',
      facts: { stderr: expect.stringContaining('/nowhere/disk0.raw') },
    })
    await removeAll()
  })

  it('a daemon that is not there: unreachable with advice, also where absence would be success', async () => {
    const vm = await describeVm('offline', bootSector(''))
    await vms.defineVm(vm).run({ signal })
    await lab.stopDaemon()
    try {
      const attempts = [
        () => vms.listVms(signal),
        () => vms.findVm(vm.uuid, signal),
        () => vms.defineVm(vm).run({ signal }),
        () => vms.startVm(vm.uuid).run({ signal }),
        () => vms.stopVm(vm.uuid).run({ signal }),
        () => vms.undefineVm(vm).run({ signal }),
      ]
      for (const attempt of attempts)
        await expect(attempt()).rejects.toMatchObject({
          code: 'unreachable',
          advice: expect.stringContaining('libvirtd'),
        })
    } finally {
      await lab.startDaemon()
    }
    expect(await vms.findVm(vm.uuid, signal)).toMatchObject({ state: 'shut-off' })
    await removeAll()
  })

  it.each(['running.xml', 'rich.xml', 'built'])(
    '%s, rewritten, keeps to the schema of libvirt',
    async (name) => {
      const disks = ['raw', 'vhd'] as const
      const text =
        name === 'built'
          ? buildDomain(
              { name: 'built', memoryBytes: GiB, cpus: 2, firmware: 'uefi', diskBus: 'sata' },
              disks.map((format, index) => ({ name: `disk${index}`, format })),
            ).text
          : await readFile(new URL(`../../fixtures/domain-xml/${name}`, import.meta.url), 'utf8')
      const { configuration } = vms.describeVm({
        name: 'checked',
        uuid: randomUUID(),
        lun,
        template: { format: 'libvirt-xml', text },
        disks: disks
          .slice(0, name === 'running.xml' ? 1 : 2)
          .map((format, index) => ({ index, path: `/gantry/disk${index}`, format })),
      })
      // This machine may have neither KVM nor UEFI firmware; the schema is what is asked here.
      const xml = configuration.text
        .replace('<domain type="kvm"', '<domain type="qemu"')
        .replace(' mode="host-passthrough"', '')
      const checked = sh`printf '%s' ${xml} | virsh -c qemu:///system define --validate /dev/stdin`
      const { stderr } = await lab.shell.run(checked, { signal, expectExit: [0, 1] })
      expect(stderr).not.toMatch(/XML document failed to validate/)
      await lab.shell.run(sh`virsh -c qemu:///system undefine checked --nvram`, {
        signal,
        expectExit: [0, 1],
      })
    },
  )

  it('lists hundreds of VMs in one round trip', async () => {
    const many = Array.from({ length: 450 }, (_, index) =>
      vms.describeVm({
        name: `vm${index}`,
        uuid: randomUUID(),
        lun,
        template: buildDomain({ name: 't', memoryBytes: GiB, cpus: 2, firmware: 'bios' }, [
          { name: 'a', format: 'qcow2' },
        ]),
        disks: [{ index: 0, path: `/images/${index}.qcow2`, format: 'qcow2' }],
      }),
    )
    const commands: string[] = []
    for (const vm of many) {
      const path = join(lab.directory, `${vm.uuid}.xml`)
      await writeFile(path, vm.configuration.text.replace('type="kvm"', 'type="qemu"'))
      commands.push(`define ${path}`)
    }
    await lab.shell.run(sh`virsh -c qemu:///system ${commands.join(';')}`, { signal })
    const start = performance.now()
    const found = await vms.listVms(signal)
    console.log(`listVms of ${found.length} VMs: ${Math.round(performance.now() - start)} ms`)
    expect(
      found
        .map((vm) => vm.uuid)
        .toSorted()
        .join(),
    ).toBe(
      many
        .map((vm) => vm.uuid)
        .toSorted()
        .join(),
    )
  })
})
