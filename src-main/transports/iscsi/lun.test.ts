import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import { scriptedTargetName, startScriptedTarget } from '#test/support/scripted-target.ts'
import type {
  ScriptedCommand,
  ScriptedConnection,
  ScriptedTarget,
  ScriptedTargetOptions,
} from '#test/support/scripted-target.ts'
import { bhsBytes, loginStatus } from '#main/protocols/iscsi/opcodes.ts'
import { senses } from '#main/protocols/scsi/sense.ts'
import { scsiStatus } from '#main/protocols/scsi/status.ts'
import { discoverTargets, listLuns } from './discovery.ts'
import { Lun } from './lun.ts'
import type { LunOptions } from './lun.ts'

const signal = new AbortController().signal
const host = { name: 'host', secret: 'a secret of the host' }
const array = { name: 'array', secret: 'a secret of the array' }
const closers: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

async function start(options: ScriptedTargetOptions = {}): Promise<ScriptedTarget> {
  const target = await startScriptedTarget(options)
  closers.push(() => target.close())
  return target
}

const way = (target: Pick<ScriptedTarget, 'port'>, options: Partial<LunOptions> = {}): LunOptions => ({
  portal: { host: '127.0.0.1', port: target.port },
  initiatorName: 'iqn.2026-11.test:host',
  targetName: scriptedTargetName,
  isid: Uint8Array.of(0x80, 1, 2, 3, 4, 5),
  lun: 0,
  name: 'LUN web',
  reconnectMs: 2000,
  ...options,
})

async function open(target: ScriptedTarget, options: Partial<LunOptions> = {}): Promise<Lun> {
  const lun = await Lun.open(way(target, options), signal)
  closers.push(() => lun.close())
  return lun
}

const read = async (lun: Lun, offset: number, lengthBytes: number, by?: AbortSignal): Promise<Buffer> => {
  const bytes = Buffer.alloc(lengthBytes, 0xee)
  await lun.readInto(offset, bytes, by)
  return bytes
}
const error = (code: string, effect = 'none'): Error =>
  expect.objectContaining({ name: 'AppError', code, effect, object: 'LUN web' }) as Error

/** Misbehaves for one kind of command, for the first `times` of them. */
const when = (
  kind: string,
  act: (connection: ScriptedConnection, command: ScriptedCommand) => void,
  times = Infinity,
) => {
  let count = 0
  return (connection: ScriptedConnection, command: ScriptedCommand): boolean => {
    if (command.decoded?.kind !== kind || count++ >= times) return false
    act(connection, command)
    return true
  }
}

describe('logging in', () => {
  test('finds targets and LUNs', async () => {
    const target = await start()
    const { targetName, ...portal } = way(target)
    expect(await discoverTargets(portal, signal)).toEqual([
      { name: scriptedTargetName, addresses: [`127.0.0.1:${target.port}`] },
    ])
    expect(await listLuns({ ...portal, targetName }, signal)).toEqual([0])
  })

  test('tells when nobody listens at the portal', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    await expect(Lun.open(way({ port }), signal)).rejects.toThrow(
      expect.objectContaining({
        code: 'unreachable',
        effect: 'none',
        object: `portal 127.0.0.1:${port}`,
      }) as Error,
    )
  })

  test('gives up a target that does not answer', async () => {
    const target = await start({ onLogin: () => true })
    await expect(Lun.open(way(target, { timing: { connectMs: 100 } }), signal)).rejects.toThrow(
      expect.objectContaining({ code: 'timeout', effect: 'none' }) as Error,
    )
  })

  test('ends when it is cancelled', async () => {
    const controller = new AbortController()
    const target = await start({
      onLogin: () => {
        controller.abort()
        return true
      },
    })
    await expect(Lun.open(way(target), controller.signal)).rejects.toThrow(
      expect.objectContaining({ code: 'cancelled', effect: 'none' }) as Error,
    )
  })

  test.each([0, 1])('tells when the target hangs up in request %i', async (last) => {
    let count = 0
    const target = await start({
      onLogin: (connection) => {
        if (count++ < last) return false
        connection.drop()
        return true
      },
    })
    await expect(Lun.open(way(target), signal)).rejects.toThrow(
      expect.objectContaining({ code: 'unreachable', effect: 'none' }) as Error,
    )
  })

  test('takes bytes that are no PDU for what they are', async () => {
    const target = await start({
      onLogin: (connection) => {
        connection.raw(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'.padEnd(96, ' ')))
        return true
      },
    })
    await expect(Lun.open(way(target), signal)).rejects.toThrow(
      expect.objectContaining({ code: 'device-rejected' }) as Error,
    )
  })

  const both = { portalGroupTag: 1, initiatorCredentials: host, targetCredentials: array }
  test.each([
    ['with both secrets right', host, array, undefined],
    ['with a wrong secret of its own', { ...host, secret: 'not the secret' }, array, 'auth-failed'],
    ['with a target that has another secret', host, { ...array, secret: 'not the secret' }, 'auth-failed'],
    ['without a secret', undefined, undefined, 'auth-failed'],
  ])('by CHAP %s', async (_, credentials, targetCredentials, code) => {
    const target = await start({ admit: () => both })
    const opened = Lun.open(
      way(target, { ...(credentials && { credentials }), ...(targetCredentials && { targetCredentials }) }),
      signal,
    )
    if (code === undefined) await (await opened).close()
    else await expect(opened).rejects.toThrow(expect.objectContaining({ code, effect: 'none' }) as Error)
  })

  test('follows the target to another portal, but not for ever', async () => {
    const right = await start()
    const moved = await start({
      admit: () => ({ refusal: loginStatus.movedTemporarily, address: `127.0.0.1:${right.port},1` }),
    })
    await open(moved)
    expect(right.connections.length).toBe(1)
    const round: ScriptedTarget = await start({
      admit: () => ({ refusal: loginStatus.movedTemporarily, address: `127.0.0.1:${round.port}` }),
    })
    await expect(Lun.open(way(round), signal)).rejects.toThrow(
      expect.objectContaining({ code: 'device-rejected' }) as Error,
    )
  })

  test('tells a LUN that is not there', async () => {
    const target = await start()
    target.lun.isRemoved = true
    await expect(Lun.open(way(target), signal)).rejects.toThrow(error('not-found'))
  })
})

describe('reading and writing', () => {
  test.each([
    ['plain', {}, {}],
    ['with digests', { headerDigest: ['CRC32C'], dataDigest: ['CRC32C'] }, {}],
    ['unasked data', {}, { initialR2T: false, firstBurstLength: 12_288, maxBurstLength: 20_480 }],
    ['nothing unasked', {}, { immediateData: false, maxBurstLength: 1024, maxRecvDataSegmentLength: 512 }],
    ['digests and small bursts', { dataDigest: ['CRC32C'] }, { maxBurstLength: 1536, firstBurstLength: 512 }],
  ] as const)('%s: what was written is read, in any sizes', async (_, wishes, theirs) => {
    const target = await start({ wishes: theirs })
    const lun = await open(target, { wishes })
    const expected = Buffer.alloc(lun.sizeBytes)
    let offset = 0
    for (const blocks of [1, 2, 7, 16, 33, 100, 257]) {
      const bytes = randomBytes(blocks * 512)
      bytes.copy(expected, offset)
      await lun.write(offset, bytes, signal)
      offset += bytes.length
    }
    expect(target.lun.disk.equals(expected)).toBe(true)
    expect((await read(lun, 0, lun.sizeBytes, signal)).equals(expected)).toBe(true)
    expect((await read(lun, 1024, 4096)).equals(expected.subarray(1024, 5120))).toBe(true)
  })

  test('many commands keep to a small window of the target', async () => {
    let most = 0
    const waiting: (() => void)[] = []
    const target = await start({
      commandWindow: 3,
      onCommand: when('read', (connection, command) => {
        waiting.push(() => connection.perform(command))
        most = Math.max(most, waiting.length)
        if (waiting.length === 1)
          setImmediate(() => {
            for (const go of waiting.splice(0)) go()
          })
      }),
    })
    const lun = await open(target)
    const results = await Promise.all(Array.from({ length: 40 }, (_, index) => read(lun, index * 512, 512)))
    expect(results.length).toBe(40)
    expect(most).toBe(3)
  })

  test('refuses ranges that are not inside the LUN, and writing when it is open for reading', async () => {
    const target = await start()
    const lun = await open(target, { readOnly: true })
    await expect(read(lun, 100, 512)).rejects.toThrow(error('bad-request'))
    await expect(read(lun, lun.sizeBytes, 512)).rejects.toThrow(error('bad-request'))
    await expect(lun.write(0, Buffer.alloc(512))).rejects.toThrow(error('bad-request'))
    expect(target.seen).not.toContain('write')
  })
})

describe('a target that does not keep to the protocol', () => {
  const data = Buffer.alloc(512, 0xaa)
  const badDigest = (connection: ScriptedConnection, command: ScriptedCommand): void => {
    const { initiatorTaskTag } = command
    const parts = connection.frame('dataIn', { initiatorTaskTag, final: true, hasStatus: true }, data)
    const last = parts.at(-1)
    if (last !== undefined) last[last.length - 1] = (last.at(-1) ?? 0) ^ 1
    connection.raw(...parts)
  }
  const wrong: [string, string, (connection: ScriptedConnection, command: ScriptedCommand) => void][] = [
    ['hangs up', 'unreachable', (connection) => connection.drop()],
    [
      'hangs up in a burst',
      'unreachable',
      (connection, { initiatorTaskTag }) => {
        connection.send('dataIn', { initiatorTaskTag, final: false }, data.subarray(0, 256))
        connection.end()
      },
    ],
    [
      'hangs up after half a PDU',
      'unreachable',
      (connection, { initiatorTaskTag }) => {
        const whole = Buffer.concat(connection.frame('dataIn', { initiatorTaskTag, final: true }, data))
        connection.raw(whole.subarray(0, 100))
        connection.end()
      },
    ],
    [
      'answers another command',
      'device-rejected',
      (connection, command) =>
        connection.answer({ ...command, initiatorTaskTag: command.initiatorTaskTag + 1024 }, data),
    ],
    [
      'counts its data wrongly',
      'device-rejected',
      (connection, command) => connection.answer(command, data, { dataSn: 1 }),
    ],
    [
      'sends data for another place',
      'device-rejected',
      (connection, command) => connection.answer(command, data, { bufferOffset: 512 }),
    ],
    [
      'sends too much',
      'device-rejected',
      (connection, { initiatorTaskTag }) =>
        connection.send('dataIn', { initiatorTaskTag, final: true, hasStatus: true }, Buffer.alloc(1024)),
    ],
    [
      'sends too little',
      'device-rejected',
      (connection, { initiatorTaskTag }) =>
        connection.send('dataIn', { initiatorTaskTag, final: true, hasStatus: true }, data.subarray(0, 256)),
    ],
    [
      'sends less and says so',
      'device-rejected',
      (connection, command) => connection.answer(command, data.subarray(0, 256)),
    ],
    [
      'sends nothing and says good',
      'device-rejected',
      (connection, command) => connection.status(command, 0),
    ],
    [
      'asks for data of a read',
      'device-rejected',
      (connection, { initiatorTaskTag }) =>
        connection.send('readyToTransfer', { initiatorTaskTag, desiredDataTransferLength: 512 }),
    ],
    [
      'sends a PDU that only initiators send',
      'device-rejected',
      (connection, { initiatorTaskTag }) => connection.send('dataOut', { initiatorTaskTag }),
    ],
    [
      'sends an unknown opcode',
      'device-rejected',
      (connection) => connection.raw(Buffer.alloc(bhsBytes, 0x1c)),
    ],
    [
      'announces 16 MiB',
      'device-rejected',
      (connection) => {
        const [header = Buffer.alloc(bhsBytes)] = connection.frame('nopIn', {})
        header.fill(0xff, 5, 8)
        connection.raw(header)
      },
    ],
    [
      'sends sense data that is longer than its PDU',
      'device-rejected',
      (connection, command) =>
        connection.status(command, scsiStatus.checkCondition, Buffer.from([0xff, 0xff, 0x70, 0])),
    ],
    [
      'rejects the command',
      'device-rejected',
      (connection, command) => {
        const header = Buffer.alloc(bhsBytes)
        header[0] = 1
        header.writeUInt32BE(command.initiatorTaskTag, 16)
        connection.send('reject', { reason: 5 }, header)
      },
    ],
    [
      'could not carry it out',
      'device-rejected',
      (connection, { initiatorTaskTag }) =>
        connection.send('scsiResponse', { initiatorTaskTag, response: 1 }),
    ],
  ]

  test.each(wrong)('and %s: the read fails as %s, once it was tried again', async (_, code, act) => {
    const target = await start({ onCommand: when('read', act) })
    const lun = await open(target)
    await expect(read(lun, 0, 512)).rejects.toThrow(error(code))
    expect(target.seen.filter((kind) => kind === 'read').length).toBeLessThanOrEqual(3)
  })

  test('changes data on the way: the read fails with the digest, never with the data', async () => {
    const target = await start({ onCommand: when('read', badDigest), wishes: { dataDigest: ['CRC32C'] } })
    const lun = await open(target, { wishes: { dataDigest: ['CRC32C'] } })
    await expect(read(lun, 0, 512)).rejects.toThrow(/data digest/)
  })

  test('changes data on the way once: the read is done again', async () => {
    const target = await start({ onCommand: when('read', badDigest, 1), wishes: { dataDigest: ['CRC32C'] } })
    target.lun.disk.fill(0x5a, 0, 512)
    const lun = await open(target, { wishes: { dataDigest: ['CRC32C'] } })
    expect(await read(lun, 0, 512)).toEqual(Buffer.alloc(512, 0x5a))
    expect(target.connections.length).toBe(2)
  })

  const wrongWrites: typeof wrong = [
    ['hangs up', 'unreachable', (connection) => connection.drop()],
    [
      'asks for data behind the end',
      'device-rejected',
      (connection, { initiatorTaskTag }) =>
        connection.send('readyToTransfer', {
          initiatorTaskTag,
          bufferOffset: 8192,
          desiredDataTransferLength: 16_384 + 512,
        }),
    ],
    [
      'asks for nothing',
      'device-rejected',
      (connection, { initiatorTaskTag }) =>
        connection.send('readyToTransfer', { initiatorTaskTag, bufferOffset: 8192 }),
    ],
    [
      'asks for the same again',
      'device-rejected',
      (connection, { initiatorTaskTag }) => {
        const r2t = { initiatorTaskTag, bufferOffset: 8192, desiredDataTransferLength: 512 }
        connection.send('readyToTransfer', r2t)
        connection.send('readyToTransfer', { ...r2t, r2tSn: 1 })
      },
    ],
    [
      'says good before it has the data',
      'device-rejected',
      (connection, command) => connection.status(command, 0),
    ],
  ]
  test.each(wrongWrites)(
    'and %s: a write fails as %s, is not repeated, its effect unknown',
    async (_, code, act) => {
      const target = await start({ onCommand: when('write', act) })
      const lun = await open(target)
      await expect(lun.write(0, Buffer.alloc(16_384 + 8192))).rejects.toThrow(error(code, 'unknown'))
      await read(lun, 0, 512)
      expect(target.seen.filter((kind) => kind === 'write').length).toBe(1)
    },
  )
})

describe('what the device says', () => {
  test('unit attentions are taken, and the command is done', async () => {
    const target = await start({
      onCommand: when('read', (connection, command) => connection.sense(command, senses.poweredOnOrReset), 3),
    })
    const lun = await open(target)
    expect(await read(lun, 0, 512)).toEqual(Buffer.alloc(512))
  })

  test('a unit attention that never ends is an error', async () => {
    const target = await start({
      onCommand: when('read', (connection, command) =>
        connection.sense(command, senses.modeParametersChanged),
      ),
    })
    const lun = await open(target)
    await expect(read(lun, 0, 512)).rejects.toThrow(error('device-rejected'))
  })

  test.each([
    ['busy', scsiStatus.busy],
    ['a full task set', scsiStatus.taskSetFull],
    ['an aborted task', scsiStatus.taskAborted],
  ])('%s is waited for', async (_, status) => {
    const target = await start({
      onCommand: when('write', (connection, command) => connection.status(command, status), 4),
    })
    const lun = await open(target)
    await lun.write(512, Buffer.alloc(512, 3))
    expect(target.lun.disk.subarray(512, 1024)).toEqual(Buffer.alloc(512, 3))
  })

  test('nothing is written while it is looked up what a unit attention means, nor what waited for its turn', async () => {
    const { promise: looking, resolve: isLooking } = Promise.withResolvers<void>()
    const { promise: seen, resolve: look } = Promise.withResolvers<void>()
    let isReplaced = false
    const target = await start({
      onCommand: (connection, command) => {
        if (!isReplaced) return false
        if (command.decoded?.kind === 'read') {
          connection.sense(command, senses.luns)
          return true
        }
        if (command.decoded?.kind !== 'inquiry' || command.decoded.evpd === true) return false
        isLooking()
        void seen.then(() => connection.perform(command))
        return true
      },
    })
    const lun = await open(target, { depth: 1 })
    isReplaced = true
    target.lun.serial = 'scripted-2'
    const reading = read(lun, 0, 512)
    const waiting = lun.write(0, Buffer.alloc(512, 1))
    const settled = Promise.allSettled([reading, waiting])
    await looking
    const writing = lun.write(512, Buffer.alloc(512, 1))
    const reset = expect(writing).rejects.toThrow(error('stale'))
    look()
    await reset
    for (const result of await settled) expect(result).toMatchObject({ reason: error('stale') })
    expect(target.seen).not.toContain('write')
  })

  test('a LUN that is replaced by one of the same size while it is looked at is stale', async () => {
    let isChanged = false
    const target = await start({
      onCommand: (connection, command) => {
        if (!isChanged) return false
        if (command.decoded?.kind === 'read') {
          connection.sense(command, senses.poweredOnOrReset)
          return true
        }
        if (command.decoded?.kind !== 'read-capacity') return false
        isChanged = false
        target.lun.serial = 'scripted-2'
        connection.sense(command, senses.luns)
        return true
      },
    })
    const lun = await open(target)
    isChanged = true
    await expect(read(lun, 0, 512)).rejects.toThrow(error('stale'))
  })

  test('a look that fails is made again before anything is sent', async () => {
    let isDoubtful = false
    const target = await start({
      onCommand: (connection, command) => {
        if (!isDoubtful) return false
        if (command.decoded?.kind === 'read') connection.sense(command, senses.luns)
        else connection.status(command, scsiStatus.reservationConflict)
        return true
      },
    })
    const lun = await open(target)
    isDoubtful = true
    await expect(read(lun, 0, 512)).rejects.toThrow(error('busy'))
    isDoubtful = false
    target.lun.serial = 'scripted-2'
    await expect(lun.write(0, Buffer.alloc(512))).rejects.toThrow(error('stale'))
    expect(target.seen).not.toContain('write')
  })

  test('a reservation of another is "busy", and nothing was done', async () => {
    const target = await start({
      onCommand: when('write', (connection, command) =>
        connection.status(command, scsiStatus.reservationConflict),
      ),
    })
    const lun = await open(target)
    await expect(lun.write(0, Buffer.alloc(512))).rejects.toThrow(error('busy'))
  })

  test.each([
    ['medium error', senses.unrecoveredReadError, 'read', 'device-rejected'],
    ['full volume', senses.spaceAllocationFailed, 'write', 'device-rejected'],
    ['write protection', senses.writeProtected, 'write', 'device-rejected'],
  ] as const)('a %s is told with its sense data', async (_, sense, kind, code) => {
    const target = await start({
      onCommand: when(kind, (connection, command) => connection.sense(command, sense)),
    })
    const lun = await open(target)
    const work = kind === 'read' ? read(lun, 0, 512) : lun.write(0, Buffer.alloc(512))
    await expect(work).rejects.toThrow(
      expect.objectContaining({ code, facts: { sense: expect.stringContaining('h/') as string } }) as Error,
    )
  })

  test.each([
    [
      'shrunk',
      (target: ScriptedTarget) => {
        target.lun.disk = target.lun.disk.subarray(0, 4096)
      },
      senses.capacityChanged,
      8192,
    ],
    [
      'shrunk without a word',
      (target: ScriptedTarget) => {
        target.lun.disk = target.lun.disk.subarray(0, 4096)
      },
      undefined,
      8192,
    ],
    [
      'removed',
      (target: ScriptedTarget) => {
        target.lun.isRemoved = true
      },
      undefined,
      0,
    ],
    [
      'replaced',
      (target: ScriptedTarget) => {
        target.lun.serial = 'scripted-2'
      },
      senses.luns,
      0,
    ],
  ] as const)(
    'a LUN that is %s under an open session is stale for good',
    async (_, change, sense, offset) => {
      let isChanged = false
      const target = await start({
        onCommand: when('read', (connection, command) => {
          const isFirst = isChanged
          isChanged = false
          if (isFirst && sense !== undefined) connection.sense(command, sense)
          else connection.perform(command)
        }),
      })
      const lun = await open(target)
      await read(lun, offset, 512)
      change(target)
      isChanged = true
      await expect(read(lun, offset, 512)).rejects.toThrow(error('stale'))
      await expect(lun.write(0, Buffer.alloc(512))).rejects.toThrow(error('stale'))
      expect(target.seen).not.toContain('write')
    },
  )
})

describe('a lost session', () => {
  const dropAll = (target: ScriptedTarget): void => {
    for (const connection of target.connections) connection.drop()
  }

  test('is set up again with the same ISID, and reading goes on', async () => {
    const isids: string[] = []
    const target = await start({
      onLogin: (_, { isid }) => {
        isids.push(Buffer.from(isid).toString('hex'))
        return false
      },
    })
    const lun = await open(target)
    dropAll(target)
    await expect(read(lun, 0, 512)).resolves.toEqual(Buffer.alloc(512))
    expect(new Set(isids).size).toBe(1)
    expect(target.connections.length).toBe(2)
  })

  test('makes the next flush say that writes may be lost, and the one after it not', async () => {
    const target = await start()
    const lun = await open(target)
    await lun.write(0, Buffer.alloc(512))
    dropAll(target)
    await read(lun, 0, 512)
    await expect(lun.flush()).rejects.toThrow(error('unreachable', 'unknown'))
    await lun.write(0, Buffer.alloc(512))
    await lun.flush()
    dropAll(target)
    await read(lun, 0, 512)
    await lun.flush()
  })

  test('makes the next flush say so of what was written during a flush, too', async () => {
    const { promise: flushing, resolve: isFlushing } = Promise.withResolvers<void>()
    const { promise: written, resolve: goOn } = Promise.withResolvers<void>()
    const target = await start({
      onCommand: when(
        'synchronize-cache',
        (connection, command) => {
          isFlushing()
          void written.then(() => connection.perform(command))
        },
        1,
      ),
    })
    const lun = await open(target)
    const flush = lun.flush()
    await flushing
    await lun.write(0, Buffer.alloc(512))
    goOn()
    await flush
    dropAll(target)
    await read(lun, 0, 512)
    await expect(lun.flush()).rejects.toThrow(error('unreachable', 'unknown'))
  })

  test('makes the next flush say so of what was on its way during a flush', async () => {
    const { promise: isWritten, resolve: end } = Promise.withResolvers<void>()
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    const target = await start({
      onCommand: when('write', (connection, command) => {
        begin()
        void isWritten.then(() => connection.status(command, scsiStatus.good))
      }),
    })
    const lun = await open(target)
    const writing = lun.write(0, Buffer.alloc(512))
    await begun
    await lun.flush()
    end()
    await writing
    dropAll(target)
    await read(lun, 0, 512)
    await expect(lun.flush()).rejects.toThrow(error('unreachable', 'unknown'))
  })

  test('is stale when another LUN is there afterwards', async () => {
    const target = await start()
    const lun = await open(target)
    target.lun.serial = 'another one'
    dropAll(target)
    await expect(read(lun, 0, 512)).rejects.toThrow(error('stale'))
    await expect(read(lun, 0, 512)).rejects.toThrow(error('stale'))
  })

  test('is unreachable when it does not come back in time', async () => {
    const target = await start()
    const lun = await open(target, { reconnectMs: 150 })
    await target.close()
    closers.splice(0, 1)
    await expect(read(lun, 0, 512)).rejects.toThrow(
      expect.objectContaining({ code: 'unreachable', effect: 'none' }) as Error,
    )
  })

  test('follows the target that wants a logout', async () => {
    const target = await start()
    const lun = await open(target)
    const before = target.connections[0]
    before?.send('asyncMessage', { event: 1, parameter3: 5 })
    if (before !== undefined) await once(before.socket, 'close')
    expect(target.seen).toContain('logoutRequest')
    await read(lun, 0, 512)
    expect(target.connections.length).toBe(2)
  })

  test('is noticed when the other side is dead without a word', async () => {
    const target = await start({
      onPdu: (connection, { kind }) => {
        if (kind === 'nopOut') isPinged()
        return connection === target.connections[0]
      },
    })
    const { promise, resolve: isPinged } = Promise.withResolvers<void>()
    const lun = await open(target, { timing: { keepAliveMs: 250, deadMs: 250 } })
    await promise
    const first = target.connections[0]
    if (first !== undefined) await once(first.socket, 'close')
    await read(lun, 0, 512)
  })

  test('is not lost while the target asks whether we are there', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const target = await start({
      onPdu: (_, pdu) => {
        if (pdu.kind === 'nopOut' && pdu.targetTransferTag === 77 && pdu.initiatorTaskTag === 0xffffffff)
          resolve()
        return false
      },
    })
    await open(target)
    target.connections[0]?.send('nopIn', { targetTransferTag: 77 })
    await promise
    expect(target.connections.length).toBe(1)
  })
})

describe('a command that is given up', () => {
  const hold = when('read', () => undefined)

  test('is aborted on the wire when its signal is', async () => {
    const controller = new AbortController()
    const target = await start({
      onCommand: (connection, command) => {
        if (!hold(connection, command)) return false
        controller.abort()
        return true
      },
    })
    const lun = await open(target)
    await expect(read(lun, 0, 512, controller.signal)).rejects.toThrow(error('cancelled'))
    expect(target.seen).toContain('taskManagementRequest')
    await lun.write(0, Buffer.alloc(512))
    expect(target.connections.length).toBe(1)
  })

  test('is a time-out when its signal has one', async () => {
    const target = await start({ onCommand: hold })
    const lun = await open(target)
    await expect(read(lun, 0, 512, AbortSignal.timeout(50))).rejects.toThrow(error('timeout'))
    expect(target.seen).toContain('taskManagementRequest')
  })

  test('is not sent when its signal was aborted before', async () => {
    const target = await start()
    const lun = await open(target)
    await expect(read(lun, 0, 512, AbortSignal.abort())).rejects.toThrow(error('cancelled'))
    expect(target.seen).not.toContain('read')
  })

  test('of writing may have done something', async () => {
    const controller = new AbortController()
    const target = await start({ onCommand: when('write', () => controller.abort()) })
    const lun = await open(target)
    await expect(lun.write(0, Buffer.alloc(512), controller.signal)).rejects.toThrow(
      error('cancelled', 'unknown'),
    )
  })

  test('does not wait for a target that does not abort it either', async () => {
    const controller = new AbortController()
    const target = await start({
      onCommand: when('read', () => controller.abort()),
      onPdu: (_, { kind }) => kind === 'taskManagementRequest',
    })
    const lun = await open(target, { timing: { abortMs: 100 } })
    await expect(read(lun, 0, 512, controller.signal)).rejects.toThrow(
      expect.objectContaining({ object: 'LUN web', effect: 'none' }) as Error,
    )
  })

  test('ends with the others of its LUN when that is reset', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const target = await start({ onCommand: when('read', () => resolve()) })
    const lun = await open(target)
    const reading = read(lun, 0, 512)
    const ended = expect(reading).rejects.toThrow(error('cancelled'))
    await promise
    await lun.reset()
    await ended
  })
})
