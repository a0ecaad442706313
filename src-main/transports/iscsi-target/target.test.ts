import { once } from 'node:events'
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { labInitiator, RawInitiator } from '#test/support/raw-initiator.ts'
import { iqnOf, TargetBench } from '#test/support/target-bench.ts'

let bench: TargetBench
beforeEach(async () => {
  bench = await TargetBench.start()
})
afterEach(() => bench.close())

const esx2 = 'iqn.2026-11.lab.host:esx2'
const bothInitiators = [labInitiator, esx2]
const secrets = {
  initiator: { name: 'esx1', secret: 'secret-of-the-host' },
  target: { name: 'array', secret: 'secret-of-the-array' },
}
const refusedWith = (code: string) => expect.objectContaining({ code })

describe('who may log in', () => {
  test('an initiator sees and reaches only what is mapped to it', async () => {
    await bench.addLun('web')
    await bench.addLun('db', { initiators: [esx2] })
    await bench.addLun('nobody', { initiators: [] })
    const text = await bench.discover()
    expect(text).toBe(`TargetName=${iqnOf('web')}\0TargetAddress=127.0.0.1:${bench.port},1\0`)
    await expect(bench.login('db')).rejects.toThrow(refusedWith('not-found'))
    await expect(bench.login('nobody')).rejects.toThrow(refusedWith('not-found'))
    await expect(bench.login('missing')).rejects.toThrow(refusedWith('not-found'))
    const session = await bench.login('web')
    expect(await session.sendTargets('')).toContain(iqnOf('web'))
    expect(await session.sendTargets(iqnOf('db'))).toBe('')
  })

  test('many targets come in as many pieces as they need', async () => {
    for (let index = 0; index < 150; index++) await bench.addLun(`vm-${index}`)
    const text = await bench.discover({ wishes: { maxRecvDataSegmentLength: 512 } })
    expect(text.match(/TargetName=/g)).toHaveLength(150)
  })

  test('CHAP is proven in both directions, also for the list of targets', async () => {
    await bench.addLun('web')
    bench.target.setChap(secrets)
    await bench.login('web', { credentials: secrets.initiator, targetCredentials: secrets.target })
    await bench.login('web', { credentials: secrets.initiator, isid: '80aabbcc0002' })
    await expect(bench.login('web')).rejects.toThrow(refusedWith('auth-failed'))
    const wrong = { name: 'esx1', secret: 'another-secret' }
    await expect(bench.login('web', { credentials: wrong })).rejects.toThrow(refusedWith('auth-failed'))
    for (const credentials of [wrong, undefined])
      await expect(bench.discover(credentials && { credentials })).rejects.toThrow(refusedWith('auth-failed'))
    expect(await bench.discover({ credentials: secrets.initiator })).toContain(iqnOf('web'))
    bench.target.setChap(undefined)
    await bench.login('web', { isid: '80aabbcc0003' })
  })

  test('a changed secret holds for new logins to every LUN, old and new; who is logged in goes on', async () => {
    await bench.addLun('web')
    const old = { credentials: { name: 'esx1', secret: 'secret-of-the-host' } }
    const changed = { credentials: { name: 'esx1', secret: 'changed-secret-1' } }
    bench.target.setChap({ initiator: old.credentials })
    const session = await bench.login('web', old)
    bench.target.setChap({ initiator: changed.credentials })
    await bench.addLun('db')
    expect((await session.command({ kind: 'test-unit-ready' })).status).toBe(0)
    for (const name of ['web', 'db']) {
      await expect(bench.login(name, { ...old, isid: '80aabbcc0002' })).rejects.toThrow(
        refusedWith('auth-failed'),
      )
      await bench.login(name, { ...changed, isid: '80aabbcc0002' })
    }
    await expect(bench.discover(old)).rejects.toThrow(refusedWith('auth-failed'))
    expect(await bench.discover(changed)).toContain(iqnOf('db'))
  })

  test('who is taken off the list is logged out', async () => {
    await bench.addLun('web', { initiators: bothInitiators })
    const first = await bench.login('web')
    const second = await bench.login('web', { initiator: esx2 })
    await bench.target.setInitiators(iqnOf('web'), [esx2])
    expect(await first.hungUp()).toBe(true)
    expect((await second.command({ kind: 'test-unit-ready' })).status).toBe(0)
    await expect(bench.login('web')).rejects.toThrow(refusedWith('not-found'))
  })

  test('a login of the same name and ISID takes the place of the older one', async () => {
    await bench.addLun('web')
    const first = await bench.login('web')
    const second = await bench.login('web')
    expect(await first.hungUp()).toBe(true)
    expect((await second.command({ kind: 'test-unit-ready' })).status).toBe(0)
    await bench.login('web', { isid: '80aabbcc0002' })
    expect(bench.target.findLun(iqnOf('web'))?.sessions).toMatchObject([
      { initiator: labInitiator },
      { initiator: labInitiator },
    ])
  })

  test('a portal that other computers could reach is refused without CHAP', async () => {
    const portal = { host: '0.0.0.0', port: 0 }
    await expect(bench.restart({ portal })).rejects.toThrow(refusedWith('bad-request'))
    await bench.restart({ portal, chap: secrets })
    expect(() => bench.target.setChap(undefined)).toThrow(refusedWith('bad-request'))
  })

  test('connections that do not log in give way to new ones', async () => {
    await bench.addLun('web')
    const idle = await Promise.all(Array.from({ length: 300 }, () => RawInitiator.connect(bench.port)))
    const session = await bench.login('web')
    expect((await session.command({ kind: 'test-unit-ready' })).status).toBe(0)
    expect(await idle[0]?.hungUp()).toBe(true)
    for (const raw of idle) raw.close()
  })
})

describe('LUNs', () => {
  test('a file, a target name and an odd size are refused', async () => {
    const request = await bench.addLun('web')
    const { target } = bench
    const again = bench.request('web')
    await expect(target.addLun(again)).rejects.toThrow(refusedWith('busy'))
    await expect(target.addLun({ ...bench.request('db'), path: request.path })).rejects.toThrow(
      refusedWith('busy'),
    )
    await expect(target.addLun(bench.request('gone'))).rejects.toThrow(refusedWith('not-found'))
    await expect(bench.addLun('odd', { sizeBytes: 1000 })).rejects.toThrow(refusedWith('bad-request'))
    writeFileSync(bench.path('long'), Buffer.alloc(1024))
    await expect(target.addLun(bench.request('long', { sizeBytes: 512 }))).rejects.toThrow(
      refusedWith('bad-request'),
    )
    await expect(bench.addLun('Upper')).rejects.toThrow(refusedWith('bad-request'))
    expect(target.listLuns()).toHaveLength(1)
  })

  test('one in use is removed only by force, and its data are in the file then', async () => {
    const { path } = await bench.addLun('web')
    const session = await bench.login('web')
    const block = Buffer.alloc(512, 0xab)
    await session.command({ kind: 'write', length: 10, lba: 3, blocks: 1 }, { out: block })
    await expect(bench.target.removeLun(iqnOf('web'))).rejects.toThrow(refusedWith('busy'))
    expect(await bench.target.removeLun(iqnOf('web'), { force: true })).toBe(true)
    expect(await session.hungUp()).toBe(true)
    expect(
      readFileSync(path)
        .subarray(3 * 512, 4 * 512)
        .equals(block),
    ).toBe(true)
    expect(await bench.target.removeLun(iqnOf('web'))).toBe(false)
    await expect(bench.login('web')).rejects.toThrow(refusedWith('not-found'))
  })

  test('one that grows tells its initiators', async () => {
    const { path } = await bench.addLun('web')
    const session = await bench.login('web')
    truncateSync(path, 32 * 1024 * 1024)
    await bench.target.growLun(iqnOf('web'), 32 * 1024 * 1024)
    expect(await session.settle()).toEqual(['6h 2ah/09h capacityChanged'])
    const { data } = await session.command({ kind: 'read-capacity', length: 10 }, { inBytes: 8 })
    expect(data.readUInt32BE(0)).toBe(65_535)
    await expect(bench.target.growLun(iqnOf('web'), 512)).rejects.toThrow(refusedWith('bad-request'))
  })

  test('a read-only one takes no writes', async () => {
    await bench.addLun('web', { readOnly: true })
    const session = await bench.login('web')
    const written = await session.command(
      { kind: 'write', length: 10, lba: 0, blocks: 1 },
      { out: Buffer.alloc(512) },
    )
    expect(written.sense).toBe('7h 27h/00h writeProtected')
    expect(
      (await session.command({ kind: 'read', length: 10, lba: 0, blocks: 1 }, { inBytes: 512 })).status,
    ).toBe(0)
  })

  test('a LUN number under which nothing is served answers INQUIRY and REPORT LUNS only', async () => {
    await bench.addLun('web')
    const session = await bench.login('web')
    const inquiry = await session.command({ kind: 'inquiry', allocationLength: 96 }, { inBytes: 96, lun: 0 })
    expect(inquiry.data[0]).toBe(0x7f)
    const luns = await session.command({ kind: 'report-luns', allocationLength: 64 }, { inBytes: 64, lun: 0 })
    expect(luns.data.toString('hex')).toBe('00000008000000000001000000000000')
    const ready = await session.command({ kind: 'test-unit-ready' }, { lun: 2 })
    expect(ready.sense).toBe('5h 25h/00h lunNotSupported')
    const read = await session.command(
      { kind: 'read', length: 10, lba: 0, blocks: 1 },
      { inBytes: 512, lun: 2 },
    )
    expect(read).toMatchObject({ sense: '5h 25h/00h lunNotSupported', data: Buffer.alloc(0), residual: 512 })
  })
})

describe('data', () => {
  const pattern = (lengthBytes: number): Buffer =>
    Buffer.from(Array.from({ length: lengthBytes }, (_, index) => (index * 7 + (index >> 9)) & 0xff))

  test.each([
    ['as the target likes it', {}],
    ['asked for only', { initialR2T: true, immediateData: false }],
    [
      'in small segments and bursts',
      { maxBurstLength: 8192, firstBurstLength: 4096, maxRecvDataSegmentLength: 1024 },
    ],
    ['with digests', { headerDigest: ['CRC32C'], dataDigest: ['CRC32C'] }],
    ['several bursts at once', { maxBurstLength: 4096, maxOutstandingR2T: 8, immediateData: false }],
  ] as const)('is the same in the file and back: %s', async (_, wishes) => {
    const { path } = await bench.addLun('web')
    const session = await bench.login('web', { wishes })
    const data = pattern(1_000 * 512)
    const written = await session.command({ kind: 'write', length: 16, lba: 7, blocks: 1000 }, { out: data })
    expect(written).toMatchObject({ status: 0, residual: 0 })
    expect(
      readFileSync(path)
        .subarray(7 * 512, 1007 * 512)
        .equals(data),
    ).toBe(true)
    const read = await session.command(
      { kind: 'read', length: 10, lba: 7, blocks: 1000 },
      { inBytes: data.length },
    )
    expect(read).toMatchObject({ status: 0, residual: 0 })
    expect(read.data.equals(data)).toBe(true)
  })

  test('too much or too little of it is told by the residual', async () => {
    await bench.addLun('web')
    const session = await bench.login('web')
    const read = { kind: 'read', length: 10, lba: 0, blocks: 2 } as const
    expect(await session.command(read, { inBytes: 4096 })).toMatchObject({ status: 0, residual: 3072 })
    expect(await session.command(read, { inBytes: 512 })).toMatchObject({ status: 0, residual: -512 })
    const write = { ...read, kind: 'write' } as const
    expect(await session.command(write, { out: Buffer.alloc(4096) })).toMatchObject({
      status: 0,
      residual: 3072,
    })
    expect(await session.command(write, { out: Buffer.alloc(512) })).toMatchObject({
      status: 0,
      residual: -512,
    })
    const inquiry = await session.command({ kind: 'inquiry', allocationLength: 255 }, { inBytes: 255 })
    expect(inquiry.residual).toBe(255 - inquiry.data.length)
  })

  test('beyond the end is refused and changes nothing', async () => {
    const { path, sizeBytes } = await bench.addLun('web')
    const session = await bench.login('web')
    const before = readFileSync(path)
    const blocks = sizeBytes / 512
    for (const [lba, count] of [
      [blocks, 1],
      [blocks - 1, 2],
      [2 ** 40, 1],
    ] as const) {
      const out = Buffer.alloc(count * 512, 1)
      const written = await session.command({ kind: 'write', length: 16, lba, blocks: count }, { out })
      expect(written.sense).toBe('5h 21h/00h lbaOutOfRange')
      const read = await session.command(
        { kind: 'read', length: 16, lba, blocks: count },
        { inBytes: out.length },
      )
      expect(read.sense).toBe('5h 21h/00h lbaOutOfRange')
    }
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('a file that became shorter reads as zeros', async () => {
    const { path } = await bench.addLun('web')
    const session = await bench.login('web')
    writeFileSync(path, Buffer.alloc(512, 1))
    const read = await session.command({ kind: 'read', length: 10, lba: 0, blocks: 2 }, { inBytes: 1024 })
    expect(read.data.equals(Buffer.concat([Buffer.alloc(512, 1), Buffer.alloc(512)]))).toBe(true)
  })

  test('a reader that does not read is not read for', async () => {
    await bench.addLun('web')
    const session = await bench.login('web')
    const other = await bench.login('web', { isid: '80aabbcc0002' })
    session.socket.pause()
    const before = process.memoryUsage().rss
    for (let index = 0; index < 100; index++)
      session.start({ kind: 'read', length: 10, lba: 0, blocks: 16_384 }, { inBytes: 8 * 1024 * 1024 })
    for (let index = 0; index < 50; index++) await other.command({ kind: 'test-unit-ready' })
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024)
    session.close()
    await once(session.socket, 'close')
    expect((await other.command({ kind: 'test-unit-ready' })).status).toBe(0)
  })
})

describe('thin provisioning', { skip: process.platform !== 'linux' }, () => {
  const MiB = 1024 * 1024
  const statusAt = async (session: RawInitiator, lba: number): Promise<[number, number][]> => {
    const { data } = await session.command(
      { kind: 'get-lba-status', lba, allocationLength: 1024 },
      { inBytes: 1024 },
    )
    const found: [number, number][] = []
    for (let at = 8; at < data.length; at += 16) found.push([data.readUInt32BE(at + 8), data[at + 12] ?? 0])
    return found
  }
  const listOf = (lba: number, blocks: number): Buffer => {
    const list = Buffer.alloc(24)
    list.writeUInt16BE(22, 0)
    list.writeUInt16BE(16, 2)
    list.writeUInt32BE(lba, 12)
    list.writeUInt32BE(blocks, 16)
    return list
  }

  test('UNMAP gives blocks back, they read as zeros, and GET LBA STATUS tells', async () => {
    const { path } = await bench.addLun('web')
    const session = await bench.login('web')
    expect(await statusAt(session, 0)).toEqual([[32_768, 1]])
    await session.command(
      { kind: 'write', length: 10, lba: 0, blocks: 8192 },
      { out: Buffer.alloc(4 * MiB, 1) },
    )
    expect(await statusAt(session, 0)).toEqual([
      [8192, 0],
      [24_576, 1],
    ])
    const allocated = statSync(path).blocks
    const unmapped = await session.command(
      { kind: 'unmap', parameterLength: 24 },
      { out: listOf(2048, 4096) },
    )
    expect(unmapped).toMatchObject({ status: 0, sense: '' })
    expect(await statusAt(session, 100)).toEqual([
      [1948, 0],
      [4096, 1],
      [2048, 0],
      [24_576, 1],
    ])
    expect(allocated - statSync(path).blocks).toBe(4096)
    const read = await session.command({ kind: 'read', length: 10, lba: 2047, blocks: 2 }, { inBytes: 1024 })
    expect(read.data.equals(Buffer.concat([Buffer.alloc(512, 1), Buffer.alloc(512)]))).toBe(true)
  })

  test('a write of zeros is data; WRITE SAME of zeros gives back where it may, of others never', async () => {
    await bench.addLun('web')
    const session = await bench.login('web')
    await session.command({ kind: 'write', length: 10, lba: 0, blocks: 64 }, { out: Buffer.alloc(32_768) })
    expect((await statusAt(session, 0))[0]).toEqual([64, 0])
    const same = { kind: 'write-same', length: 10, lba: 0, blocks: 32, unmap: true } as const
    await session.command(same, { out: Buffer.alloc(512) })
    expect((await statusAt(session, 0))[0]).toEqual([32, 1])
    await session.command(same, { out: Buffer.alloc(512, 7) })
    const read = await session.command(
      { kind: 'read', length: 10, lba: 0, blocks: 33 },
      { inBytes: 33 * 512 },
    )
    expect(read.data.equals(Buffer.concat([Buffer.alloc(32 * 512, 7), Buffer.alloc(512)]))).toBe(true)
  })
})

describe('reservations', () => {
  const key = (own: number, action: number, persist = false): Buffer => {
    const list = Buffer.alloc(24)
    list.writeBigUInt64BE(BigInt(own), 0)
    list.writeBigUInt64BE(BigInt(action), 8)
    list[20] = persist ? 1 : 0
    return list
  }
  const out = (serviceAction: 0 | 1 | 2 | 3 | 4 | 5 | 6, type = 0) =>
    ({ kind: 'persistent-reserve-out', serviceAction, type, parameterLength: 24 }) as const
  const write = { kind: 'write', length: 10, lba: 0, blocks: 1 } as const

  test('outlive a restart of the target where the initiator asked for it, and go with the LUN', async () => {
    const request = await bench.addLun('web', { initiators: bothInitiators })
    let first = await bench.login('web')
    await first.command(out(0), { out: key(0, 0x11, true) })
    expect((await first.command(out(1, 1), { out: key(0x11, 0) })).status).toBe(0)
    await bench.restart()
    await bench.target.addLun(request)
    const second = await bench.login('web', { initiator: esx2 })
    expect((await second.command(write, { out: Buffer.alloc(512) })).status).toBe(0x18)
    first = await bench.login('web')
    expect((await first.command(write, { out: Buffer.alloc(512) })).status).toBe(0)

    await second.command(out(0), { out: key(0, 0x22) })
    expect((await second.command(out(4, 1), { out: key(0x22, 0x11) })).status).toBe(0)
    expect(await first.settle()).toEqual(['6h 2ah/05h registrationsPreempted'])
    expect((await first.command(write, { out: Buffer.alloc(512) })).status).toBe(0x18)

    await bench.target.removeLun(request.identity.target, { force: true })
    await bench.target.addLun(request)
    first = await bench.login('web')
    expect((await first.command(write, { out: Buffer.alloc(512) })).status).toBe(0)
  })

  test('of SCSI-2 end with their session', async () => {
    await bench.addLun('web', { initiators: bothInitiators })
    const first = await bench.login('web')
    const second = await bench.login('web', { initiator: esx2 })
    await first.command({ kind: 'reserve', length: 6 })
    expect((await second.command({ kind: 'test-unit-ready' })).status).toBe(0x18)
    const again = await bench.login('web') // takes the place of the first
    expect((await second.command({ kind: 'test-unit-ready' })).status).toBe(0)
    again.close()
  })
})

describe('task management', () => {
  test('a reset of the LUN ends commands that wait for data, and everybody is told', async () => {
    await bench.addLun('web', { initiators: bothInitiators })
    const first = await bench.login('web', { wishes: { immediateData: false } })
    const second = await bench.login('web', { initiator: esx2 })
    first.start({ kind: 'write', length: 10, lba: 0, blocks: 1 }, { out: Buffer.alloc(512) })
    expect((await first.next())?.pdu.kind).toBe('readyToTransfer')
    expect(await second.manage(5)).toBe(0)
    expect(await first.settle()).toEqual(['6h 29h/03h logicalUnitReset'])
    expect(await second.settle()).toEqual(['6h 29h/03h logicalUnitReset'])
    expect(await first.manage(1, 999)).toBe(1)
    expect(await first.manage(5, undefined, 9)).toBe(2)
  })

  test('an aborted write takes no more data', async () => {
    const { path } = await bench.addLun('web')
    const session = await bench.login('web', { wishes: { immediateData: false } })
    const data = Buffer.alloc(512, 9)
    const tag = session.start({ kind: 'write', length: 10, lba: 0, blocks: 1 }, { out: data })
    const r2t = await session.next()
    expect(await session.manage(1, tag)).toBe(0)
    if (r2t?.pdu.kind !== 'readyToTransfer') throw new Error('no R2T')
    session.sendData(r2t.pdu, data)
    expect((await session.command({ kind: 'test-unit-ready' })).status).toBe(0)
    expect(readFileSync(path).subarray(0, 512).equals(Buffer.alloc(512))).toBe(true)
  })
})
