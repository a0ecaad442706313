import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { KiB, MiB } from '#shared/units/bytes.ts'
import { createIscsiInitiator } from '#main/transports/iscsi/initiator.ts'
import type { LoginWay, OpenLun } from '#main/transports/iscsi/initiator.ts'
import type { IscsiDevice } from '#main/transports/iscsi/iscsi-device.ts'
import { formatPortal } from '#main/transports/iscsi/portal.ts'
import { exec } from '../exec.ts'
import { startTgtd } from './tgtd.ts'
import type { Tgtd } from './tgtd.ts'

/** Our initiator against a target that others wrote. */
const lab = inject('labs')
const sizeBytes = 64 * MiB
const signal = new AbortController().signal
const host = { name: 'host', secret: 'secretofhost' }
const array = { name: 'array', secret: 'secretofarray' }
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const failed = (code: string, effect = 'none'): Error => expect.objectContaining({ code, effect }) as Error

const initiator = createIscsiInitiator('iqn.2026-11.lab:console')
const other = createIscsiInitiator('iqn.2026-11.lab:other')
afterAll(async () => {
  await initiator.close()
  await other.close()
})

const wayTo = (tgtd: Tgtd): LoginWay & Pick<OpenLun, 'target' | 'lun'> => ({
  portal: formatPortal(tgtd.portal),
  target: tgtd.target,
  lun: 1,
})

/** Random writes of many sizes, several at a time, then everything is read and compared with the file. */
async function writeAndCompare(device: IscsiDevice, tgtd: Tgtd): Promise<void> {
  let offset = 0
  const writes: Promise<void>[] = []
  for (const kib of [1, 3, 8, 9, 64, 65, 300, 1024, 2500]) {
    writes.push(device.write(offset, randomBytes(kib * KiB), signal))
    offset += kib * KiB
  }
  await Promise.all(writes)
  await device.flush(signal)
  const file = readFileSync(tgtd.file)
  expect(await device.hash(0, device.sizeBytes, { signal })).toBe(sha256(file))
  for (const [from, length] of [
    [0, 512],
    [512, 64 * KiB],
    [MiB, 2 * MiB],
  ] as const)
    expect(
      Buffer.from(await device.read(from, length, signal)).equals(file.subarray(from, from + length)),
    ).toBe(true)
}

describe.skipIf('reason' in lab)('tgtd', () => {
  const settings: Record<string, Record<string, string>> = {
    'as it comes': {},
    'with large bursts and data unasked': {
      MaxRecvDataSegmentLength: '262144',
      MaxXmitDataSegmentLength: '262144',
      MaxBurstLength: '1048576',
      FirstBurstLength: '262144',
      InitialR2T: 'No',
      MaxOutstandingR2T: '4',
    },
    'with bursts smaller than its segments': {
      MaxBurstLength: '2048',
      FirstBurstLength: '1024',
      ImmediateData: 'No',
    },
  }
  const digests = { HeaderDigest: 'None,CRC32C', DataDigest: 'None,CRC32C' }
  describe.each(Object.keys(settings))('%s', (name) => {
    let tgtd: Tgtd
    beforeAll(async () => {
      tgtd = await startTgtd({ sizeBytes, settings: { ...settings[name], ...digests } })
    })
    afterAll(() => tgtd.close())

    test.each([
      ['no digests', ['None'], ['None']],
      ['header digests', ['CRC32C'], ['None']],
      ['all digests', ['CRC32C'], ['CRC32C']],
    ] as const)('holds what is written with %s', async (_, headerDigest, dataDigest) => {
      const device = await initiator.open({ ...wayTo(tgtd), headerDigest, dataDigest }, signal)
      await writeAndCompare(device, tgtd)
      await device.close()
    })
  })

  describe('one LUN', () => {
    let tgtd: Tgtd
    beforeAll(async () => {
      tgtd = await startTgtd({ sizeBytes })
    })
    afterAll(() => tgtd.close())

    test('is found and says what it is', async () => {
      expect(await initiator.discover(wayTo(tgtd), signal)).toEqual([
        { name: tgtd.target, addresses: [`${formatPortal(tgtd.portal)},1`] },
      ])
      expect(await initiator.listLuns(wayTo(tgtd), signal)).toEqual([0, 1])
      const device = await initiator.open(wayTo(tgtd), signal)
      expect(device).toMatchObject({
        blockBytes: 512,
        sizeBytes,
        isReadOnly: false,
        facts: { inquiry: { vendor: 'IET', product: 'VIRTUAL-DISK' }, serial: 'beaf11' },
      })
      expect(device.facts.names).toContain('naa.60000000000000000e00000000010001')
      expect(device).not.toHaveProperty('copy')
      await device.close()
      await expect(initiator.open({ ...wayTo(tgtd), lun: 9 }, signal)).rejects.toThrow(failed('not-found'))
      await expect(initiator.open({ ...wayTo(tgtd), lun: 0 }, signal)).rejects.toThrow(
        failed('not-supported'),
      )
      await expect(initiator.open({ ...wayTo(tgtd), target: 'iqn.none' }, signal)).rejects.toThrow(
        failed('not-found'),
      )
    })

    test('gives content to files, and takes it from them', async () => {
      const device = await initiator.open(wayTo(tgtd), signal)
      const copy = join(tgtd.folder, 'copy')
      const digest = await device.readIntoFile(0, sizeBytes, copy, { signal })
      expect(digest).toBe(sha256(readFileSync(tgtd.file)))
      expect(sha256(readFileSync(copy))).toBe(digest)
      const content = {
        path: copy,
        sizeBytes: MiB,
        extents: [{ fileOffset: 0, offset: 512, lengthBytes: 700 * KiB }],
      }
      await device.writeContent(32 * MiB, content, { signal, isZeroed: false })
      await device.flush(signal)
      const written = readFileSync(tgtd.file).subarray(32 * MiB, 33 * MiB)
      expect(written.subarray(512, 512 + 700 * KiB).equals(readFileSync(copy).subarray(0, 700 * KiB))).toBe(
        true,
      )
      await device.close()
    })

    test('tells which blocks are mapped', async () => {
      const device = await initiator.open(wayTo(tgtd), signal)
      const extents = await device.getLbaStatus(0, sizeBytes, signal)
      expect(extents.reduce((sum, { blocks }) => sum + blocks, 0) * 512).toBe(sizeBytes)
      await device.close()
    })

    test('has the same block everywhere after a write same', async () => {
      const device = await initiator.open(wayTo(tgtd), signal)
      const block = randomBytes(512)
      await device.writeSame(MiB, 64 * KiB, block, signal)
      const expected = Buffer.concat(Array.from({ length: 128 }, () => block))
      expect(Buffer.from(await device.read(MiB, 64 * KiB, signal)).equals(expected)).toBe(true)
      await device.close()
    })

    test('what it does not know is "not supported", or not offered', async () => {
      const device = await initiator.open(wayTo(tgtd), signal)
      expect(device.unmap).toBeUndefined()
      const block = new Uint8Array(512)
      await expect(device.compareAndWrite?.(0, block, block, signal)).rejects.toThrow(failed('not-supported'))
      await device.close()
    })

    test('is reserved by one initiator, and "busy" for another', async () => {
      const [ours, theirs] = await Promise.all([
        initiator.open(wayTo(tgtd), signal),
        other.open(wayTo(tgtd), signal),
      ])
      await ours.register(0n, 0x1234n, signal)
      await ours.reserve(0x1234n, 3, signal)
      expect(await theirs.readKeys(signal)).toEqual([0x1234n])
      expect(await theirs.findReservation(signal)).toEqual({ key: 0x1234n, type: 3 })
      await expect(theirs.write(0, new Uint8Array(512), signal)).rejects.toThrow(failed('busy'))
      await expect(theirs.read(0, 512, signal)).rejects.toThrow(failed('busy'))
      await ours.write(0, new Uint8Array(512), signal)
      await ours.release(0x1234n, 3, signal)
      await ours.register(0x1234n, 0n, signal)
      await theirs.write(0, new Uint8Array(512), signal)
      expect(await theirs.findReservation(signal)).toBeUndefined()
      await ours.close()
      await theirs.close()
    })

    test('goes on after a reset by another session', async () => {
      const [ours, theirs] = await Promise.all([
        initiator.open(wayTo(tgtd), signal),
        other.open(wayTo(tgtd), signal),
      ])
      await theirs.reset(signal)
      expect((await ours.read(0, 4096, signal)).length).toBe(4096)
      await ours.close()
      await theirs.close()
    })

    test('that was taken away is stale', async () => {
      const device = await initiator.open(wayTo(tgtd), signal)
      await tgtd.tgtadm('--op', 'delete', '--mode', 'logicalunit', '--tid', '1', '--lun', '1')
      await expect(device.read(0, 512, signal)).rejects.toThrow(failed('stale'))
      await tgtd.tgtadm('--op', 'new', '--mode', 'logicalunit', '--tid', '1', '--lun', '1', '-b', tgtd.file)
      await device.close()
    })

    test('is read on after the target was killed and started again', async () => {
      const device = await initiator.open(wayTo(tgtd), signal)
      await device.write(0, new Uint8Array(4096).fill(9), signal)
      await device.flush(signal)
      await tgtd.kill()
      const reading = device.read(0, 4096, signal)
      await tgtd.startAgain()
      expect(await reading).toEqual(new Uint8Array(4096).fill(9))
      await device.close()
    })

    test('that comes back smaller is stale', async () => {
      const device = await initiator.open(wayTo(tgtd), signal)
      await tgtd.kill()
      truncateSync(tgtd.file, sizeBytes / 2)
      await tgtd.startAgain()
      await expect(device.read(0, 4096, signal)).rejects.toThrow(failed('stale'))
      await device.close()
    })
  })

  describe('with CHAP in both directions', () => {
    let tgtd: Tgtd
    beforeAll(async () => {
      tgtd = await startTgtd({ sizeBytes: MiB })
      const account = (...args: string[]): Promise<string> =>
        tgtd.tgtadm('--mode', 'account', '--user', ...args)
      await account(host.name, '--op', 'new', '--password', host.secret)
      await account(array.name, '--op', 'new', '--password', array.secret)
      await account(host.name, '--op', 'bind', '--tid', '1')
      await account(array.name, '--op', 'bind', '--tid', '1', '--outgoing')
    })
    afterAll(() => tgtd.close())

    test('lets those in who know the secrets', async () => {
      const device = await initiator.open(
        { ...wayTo(tgtd), credentials: host, targetCredentials: array },
        signal,
      )
      expect(device.sizeBytes).toBe(MiB)
      await device.close()
      await (await initiator.open({ ...wayTo(tgtd), credentials: host }, signal)).close()
    })

    test.each([
      ['a wrong secret', { credentials: { ...host, secret: 'wrongsecret1' } }],
      ['a wrong name', { credentials: { ...host, name: 'nobody' } }],
      ['no secret', {}],
      [
        'another secret of the array',
        { credentials: host, targetCredentials: { ...array, secret: 'wrongsecret2' } },
      ],
    ])('does not log in with %s', async (_, credentials) => {
      await expect(initiator.open({ ...wayTo(tgtd), ...credentials }, signal)).rejects.toThrow(
        failed('auth-failed'),
      )
    })
  })

  test('and its own tools see the same LUN', async () => {
    const tgtd = await startTgtd({ sizeBytes: MiB })
    try {
      const { portal, target } = wayTo(tgtd)
      const { stdout } = await exec('iscsi-inq', [`iscsi://${portal}/${target}/1`])
      const device = await initiator.open(wayTo(tgtd), signal)
      expect(stdout).toContain(device.facts.inquiry.product)
      await device.close()
    } finally {
      await tgtd.close()
    }
  })
})
