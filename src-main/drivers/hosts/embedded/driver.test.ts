import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MiB } from '#shared/units/bytes.ts'
import { buildDomain } from '#main/protocols/domain-xml/build-domain.ts'
import { openFileDevice } from '#main/transports/block/file-device.ts'
import { chapSecretsOf } from '#test/support/chap-secrets.ts'
import { sampleUnit } from '#test/support/units.ts'
import type { HostDriver, VmDefinition } from '../contract.ts'
import { createEmbeddedHost } from './driver.ts'
import { vmPlaces } from './places.ts'
import { waitForGuest } from './wait-for-guest.ts'

const uuid = 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee'
const lun = {
  name: 'web',
  target: 'iqn.2026-11.example:web',
  lun: 1,
  serial: 'S1',
  naa: '6'.padEnd(32, '0'),
  portal: '127.0.0.1:3260',
}
const { signal } = new AbortController()
const error = (code: string, message?: RegExp) =>
  expect.objectContaining({
    code,
    ...(message && { message: expect.stringMatching(message) as string }),
  }) as Error

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gantry-here-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

/** The host, and what its LUN is at present. */
function hostWith(found: { serial?: string; naa?: string; bytes?: Uint8Array } = {}): HostDriver {
  return createEmbeddedHost(
    { name: 'here', driver: 'embedded', settings: {} },
    {
      dataDir: dir,
      initiatorName: 'iqn.2026-11.example:console',
      secrets: chapSecretsOf(),
      async openLun() {
        const path = join(dir, 'lun')
        writeFileSync(path, found.bytes ?? Buffer.concat([sampleUnit(), Buffer.alloc(14 * MiB)]))
        const device = await openFileDevice(path, { readOnly: true })
        return { device, serial: found.serial ?? lun.serial, naa: [found.naa ?? lun.naa] }
      },
    },
  )
}

function describeVm(host: HostDriver, name = 'web', id = uuid): VmDefinition {
  const vm = host.disks?.describeVm({
    name,
    uuid: id,
    lun,
    initiator: 'iqn.2026-11.example:console',
    template: buildDomain({ name: 'template', memoryBytes: 32 * MiB, cpus: 1, firmware: 'bios' }, [
      { name: 'disk0', format: 'raw' },
    ]),
    disks: [{ index: 0, offsetBytes: 4 * MiB, sizeBytes: MiB }],
  })
  if (vm === undefined) throw new Error('this computer runs VMs from containers of disks')
  return vm
}

describe('LUNs of this computer', () => {
  test('attached, again, and detached, again', async () => {
    const host = hostWith()
    expect(await host.findAttached(lun, signal)).toBeUndefined()
    const attached = await host.attachLun(lun).run({ signal })
    expect(attached.device).toBe('iscsi://127.0.0.1:3260/iqn.2026-11.example:web/1')
    expect(await host.attachLun(lun).run({ signal })).toEqual(attached)
    expect(await host.findAttached(lun, signal)).toEqual(attached)
    await host.detachLun(lun).run({ signal })
    await host.detachLun(lun).run({ signal })
    expect(await host.findAttached(lun, signal)).toBeUndefined()
  })

  test.each([
    ['another serial', { serial: 'S2' }, 'bad-request'],
    ['another NAA name', { naa: '6'.padEnd(32, '1') }, 'bad-request'],
    ['nothing on it', { bytes: Buffer.alloc(4 * MiB) }, 'device-rejected'],
    ['a damaged unit', { bytes: sampleUnit().fill(7, MiB) }, 'device-rejected'],
  ])('a LUN with %s is not attached', async (_, found, code) => {
    const host = hostWith(found)
    await expect(host.attachLun(lun).run({ signal })).rejects.toThrow(error(code))
    expect(await host.findAttached(lun, signal)).toBeUndefined()
  })

  test('another LUN of the same serial, and a damaged note, are partial: to be attached again', async () => {
    const host = hostWith()
    await host.attachLun(lun).run({ signal })
    const moved = { ...lun, portal: '127.0.0.1:9' }
    expect((await host.findAttached(moved, signal))?.partial).toBe(true)
    writeFileSync(join(dir, 'attached', 'S1.json'), '{"lun":')
    expect((await host.findAttached(lun, signal))?.partial).toBe(true)
    await host.attachLun(lun).run({ signal })
    expect((await host.findAttached(lun, signal))?.partial).toBeUndefined()
  })

  test('a serial that would be a path is refused', () => {
    expect(() => hostWith().attachLun({ ...lun, serial: '../../etc' })).toThrow(error('bad-request'))
  })
})

describe('VMs of this computer', () => {
  test('registered for the user alone, again, found, and removed, again', async () => {
    const host = hostWith()
    const vm = describeVm(host)
    await host.defineVm(vm).run({ signal })
    await host.defineVm(vm).run({ signal })
    expect(statSync(vmPlaces(dir, uuid).record).mode & 0o777).toBe(0o600)
    expect(await host.findVm(uuid, signal)).toMatchObject({
      name: 'web',
      state: 'shut-off',
      memoryBytes: 32 * MiB,
      disks: [{ type: 'network', source: 'iscsi://127.0.0.1:3260/iqn.2026-11.example:web/1', format: 'raw' }],
    })
    expect(await host.listVmNames(signal)).toEqual(['web'])
    await host.undefineVm(vm).run({ signal })
    await host.undefineVm(vm).run({ signal })
    await host.stopVm(uuid).run({ signal })
    expect(readdirSync(join(dir, 'vms'))).toEqual([])
  })

  test('a name or a UUID of another VM is busy', async () => {
    const host = hostWith()
    await host.defineVm(describeVm(host)).run({ signal })
    const other = 'aaaaaaaa-bbbb-4ccc-8ddd-ffffffffffff'
    await expect(host.defineVm(describeVm(host, 'web', other)).run({ signal })).rejects.toThrow(error('busy'))
    await expect(host.defineVm(describeVm(host, 'other')).run({ signal })).rejects.toThrow(error('busy'))
    expect(await host.listVmNames(signal)).toEqual(['web'])
  })

  test('a process id that belongs to another process by now is not the VM, and is left alone', async () => {
    const host = hostWith()
    await host.defineVm(describeVm(host)).run({ signal })
    writeFileSync(vmPlaces(dir, uuid).pidFile, `${process.pid}\n`)
    expect((await host.findVm(uuid, signal))?.state).toBe('shut-off')
    await host.stopVm(uuid).run({ signal })
  })

  test('what is no UUID does not become a path', () => {
    expect(() => hostWith().stopVm('../..')).toThrow(error('bad-request'))
  })
})

describe('waiting for a guest that is not there', () => {
  const places = () => vmPlaces(dir, uuid)
  const wait = (text: string, timeoutMs = 10_000) =>
    waitForGuest(places(), 'VM web', { kind: 'serial', text }, timeoutMs).run({ signal })
  beforeEach(() => {
    mkdirSync(places().folder, { recursive: true })
    writeFileSync(places().consoleLog, 'booting\r\n')
  })

  test('what it has said as its last counts', async () => {
    appendFileSync(places().consoleLog, '\u001b[32mVMREADY web\u001b[0m\r\n')
    await expect(wait('VMREADY web')).resolves.toBe('VMREADY web')
  })

  test('otherwise it is said that it does not run, with its last lines', async () => {
    await expect(wait('VMREADY')).rejects.toThrow(
      expect.objectContaining({
        code: 'device-rejected',
        facts: { state: 'stopped', 'last lines of the console': 'booting' },
      }),
    )
  })

  test('a text of two lines is refused', () => {
    expect(() => wait('a\nb')).toThrow(error('bad-request'))
  })
})
