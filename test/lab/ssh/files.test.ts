import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import type { ServerChannel, Session } from 'ssh2'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { SshConnection } from '#shared/domain/connection.ts'
import { sh } from '#main/transports/shell/script.ts'
import type { RemoteFiles } from '#main/transports/shell/files.ts'
import type { SshSession } from '#main/transports/ssh/contract.ts'
import { startOddServer } from './odd-server.ts'
import { CuttingProxy } from './proxy.ts'
import { never, testDir, testPool, until } from './setup.ts'
import { publicKeyOf, startSshd, type Sshd, type SshdOptions } from './sshd.ts'

const subsystem = 'Subsystem sftp /usr/lib/openssh/sftp-server'
const MiB = 1024 * 1024

let sshd: Sshd
beforeAll(async () => {
  sshd = await startSshd({ lines: [subsystem] })
})
afterAll(async () => await sshd.stop())

const filesOf = (session: SshSession): RemoteFiles => {
  if (session.files === undefined) throw new Error('no files')
  return session.files
}
const open = (): RemoteFiles => filesOf(testPool().session('array lab', sshd.connection))

async function serverWith(options: SshdOptions): Promise<SshSession> {
  const server = await startSshd(options)
  onTestFinished(async () => await server.stop())
  return testPool().session('h', server.connection)
}

async function proxied(): Promise<{ proxy: CuttingProxy; connection: SshConnection }> {
  const proxy = await CuttingProxy.start(sshd.port)
  onTestFinished(async () => await proxy.stop())
  const file = path.join(testDir(), 'kh')
  writeFileSync(file, `[127.0.0.1]:${proxy.port} ${publicKeyOf(sshd.hostKey)}\n`)
  return { proxy, connection: { ...sshd.connection, port: proxy.port, knownHostsFiles: [file] } }
}

async function oddServer(onSession: (session: Session) => void): Promise<RemoteFiles> {
  const dir = testDir()
  const odd = await startOddServer(dir, (context) => context.accept(), undefined, onSession)
  onTestFinished(async () => await odd.stop())
  writeFileSync(path.join(dir, 'kh'), `[127.0.0.1]:${odd.port} ${publicKeyOf(odd.hostKey)}\n`)
  const connection = { ...sshd.connection, port: odd.port, knownHostsFiles: [path.join(dir, 'kh')] }
  return filesOf(testPool().session('h', connection))
}

function randomFile(bytes: number): { file: string; sha256: string } {
  const file = path.join(testDir(), 'a file.bin')
  const content = randomBytes(bytes)
  writeFileSync(file, content)
  return { file, sha256: sha256(content) }
}
const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex')

async function readAll(files: RemoteFiles, file: string, range = {}): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  const count = await files.read(file, {
    signal: never,
    accept: (chunk) => void chunks.push(chunk),
    ...range,
  })
  const all = Buffer.concat(chunks)
  expect(count).toBe(all.length)
  return all
}

async function* repeat(chunk: Uint8Array, times: number): AsyncGenerator<Uint8Array> {
  for (let count = 0; count < times; count += 1) yield await Promise.resolve(chunk)
}

describe('reading', () => {
  test('a whole file, an empty one, and ranges', async () => {
    const files = open()
    const { file, sha256: expected } = randomFile(5 * MiB + 17)
    expect(sha256(await readAll(files, file))).toBe(expected)
    const content = readFileSync(file)
    expect(await readAll(files, file, { offset: 1000, lengthBytes: 300_000 })).toEqual(
      content.subarray(1000, 301_000),
    )
    expect(await readAll(files, file, { offset: content.length - 5, lengthBytes: 99 })).toEqual(
      content.subarray(-5),
    )
    expect(await readAll(files, file, { offset: content.length + 5, lengthBytes: 99 })).toHaveLength(0)
    writeFileSync(file, '')
    expect(await readAll(files, file)).toHaveLength(0)
  })

  test('what is slow to accept holds back the device', async () => {
    const { proxy, connection } = await proxied()
    const { file } = randomFile(32 * MiB)
    const session = testPool().session('h', connection)
    await session.connect(never)
    proxy.serverBytes = 0
    let accepted = 0
    let furthestAhead = 0
    await filesOf(session).read(file, {
      signal: never,
      accept: async (chunk) => {
        accepted += chunk.length
        if (accepted < 16 * MiB)
          await new Promise((resolve) => {
            setTimeout(resolve, 2)
          })
        furthestAhead = Math.max(furthestAhead, proxy.serverBytes - accepted)
      },
    })
    expect(accepted).toBe(32 * MiB)
    expect(furthestAhead).toBeLessThan(6 * MiB)
  })

  test('more readers than channels take turns', async () => {
    const session = testPool({ maxChannels: 2 }).session('h', sshd.connection)
    const { file, sha256: expected } = randomFile(MiB)
    const all = await Promise.all(Array.from({ length: 9 }, () => readAll(filesOf(session), file)))
    expect(all.map(sha256)).toEqual(all.map(() => expected))
  })

  test.each([
    ['becomes shorter', (file: string) => truncateSync(file, 3 * MiB)],
    ['becomes empty', (file: string) => truncateSync(file, 0)],
    ['grows', (file: string) => appendFileSync(file, 'more')],
  ])('a file that %s meanwhile is stale', async (_how, change) => {
    const { file } = randomFile(16 * MiB)
    let isFirst = true
    const accept = (): void => {
      if (isFirst) change(file)
      isFirst = false
    }
    await expect(open().read(file, { signal: never, accept })).rejects.toMatchObject({
      code: 'stale',
      effect: 'none',
      object: `${file} on array lab`,
    })
  })

  test('what the acceptor throws ends it, as it is', async () => {
    const { file } = randomFile(8 * MiB)
    const failure = new Error('no room')
    const accept = async (): Promise<void> => await Promise.reject(failure)
    await expect(open().read(file, { signal: never, accept })).rejects.toBe(failure)
  })

  test('cancelled, also while the acceptor hangs; the channel is free again', async () => {
    const { file, sha256: expected } = randomFile(8 * MiB)
    const files = filesOf(testPool({ maxChannels: 1 }).session('h', sshd.connection))
    const controller = new AbortController()
    const accept = async (): Promise<void> => {
      controller.abort()
      await new Promise(() => undefined)
    }
    await expect(files.read(file, { signal: controller.signal, accept })).rejects.toMatchObject({
      code: 'cancelled',
      effect: 'none',
    })
    expect(sha256(await readAll(files, file))).toBe(expected)
  })
})

describe('what there is', () => {
  test('files, folders and links, by stat and in a list', async () => {
    const dir = testDir()
    writeFileSync(path.join(dir, "it's $(a) 'näme'\n"), 'four')
    mkdirSync(path.join(dir, 'sub'))
    symlinkSync("it's $(a) 'näme'\n", path.join(dir, 'link'))
    execFileSync('mkfifo', [path.join(dir, 'pipe')])
    const files = open()
    expect(await files.stat(path.join(dir, 'link'), never)).toEqual({ kind: 'file', sizeBytes: 4 })
    expect(await files.stat(dir, never)).toMatchObject({ kind: 'folder' })
    expect(await files.stat(path.join(dir, 'absent'), never)).toBeUndefined()
    const listed = await files.list(dir, never)
    expect(listed.map(({ name, kind }) => `${kind} ${name}`).toSorted()).toEqual([
      "file it's $(a) 'näme'\n",
      'folder sub',
      'link link',
      'other pipe',
    ])
  })

  test('a folder of thousands', async () => {
    const dir = testDir()
    for (let count = 0; count < 3000; count += 1) writeFileSync(path.join(dir, `file ${count}`), '')
    expect(await open().list(dir, never)).toHaveLength(3000)
  })

  test('a name that is not UTF-8 is an error that names it', async () => {
    const dir = testDir()
    writeFileSync(Buffer.concat([Buffer.from(`${dir}/caf`), Buffer.from([0xe9]), Buffer.from('.raw')]), '')
    await expect(open().list(dir, never)).rejects.toMatchObject({
      code: 'device-rejected',
      message: 'The name of "caf\uFFFD.raw" is not UTF-8',
      object: `${dir} on array lab`,
    })
  })
})

describe('writing', () => {
  test('makes a file and replaces one, with nothing beside it', async () => {
    const dir = testDir()
    const file = path.join(dir, 'new.bin')
    const chunk = randomBytes(300_001)
    expect(await open().write(file, repeat(chunk, 20), never)).toBe(20 * chunk.length)
    expect(sha256(readFileSync(file))).toBe(sha256(Buffer.concat(Array.from({ length: 20 }, () => chunk))))
    await open().write(file, repeat(Buffer.from('x'), 0), never)
    expect(readFileSync(file)).toHaveLength(0)
    expect(readdirSync(dir)).toEqual(['new.bin'])
  })

  test('a source that fails, and a cancel: the old file stays, nothing is left, the error is theirs', async () => {
    const dir = testDir()
    const file = path.join(dir, 'kept')
    writeFileSync(file, 'old')
    const failure = new Error('the source failed')
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield* repeat(randomBytes(100_000), 30)
      throw failure
    }
    await expect(open().write(file, failing(), never)).rejects.toBe(failure)
    const controller = new AbortController()
    async function* hanging(): AsyncGenerator<Uint8Array> {
      yield* repeat(randomBytes(100_000), 30)
      controller.abort()
      await new Promise(() => undefined)
    }
    await expect(open().write(file, hanging(), controller.signal)).rejects.toMatchObject({
      code: 'cancelled',
      effect: 'none',
    })
    expect(readFileSync(file, 'utf8')).toBe('old')
    expect(readdirSync(dir)).toEqual(['kept'])
  })

  test('a full file system is told as that', async () => {
    const dir = testDir()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', dir])
    try {
      const writing = open().write(path.join(dir, 'big'), repeat(randomBytes(MiB), 4), never)
      await expect(writing).rejects.toMatchObject({
        code: 'device-rejected',
        message: `There is no space left for "${dir}/big"`,
        effect: 'none',
      })
      expect(readdirSync(dir)).toEqual([])
    } finally {
      execFileSync('umount', ['-l', dir]) // the server may have the file open a moment longer
    }
  })

  test('a folder that is not there, and one under a file', async () => {
    const dir = testDir()
    writeFileSync(path.join(dir, 'file'), '')
    for (const name of ['absent/x', 'file/x'])
      await expect(
        open().write(path.join(dir, name), repeat(Buffer.from('x'), 1), never),
      ).rejects.toMatchObject({
        code: expect.stringMatching(/^(not-found|device-rejected)$/),
        effect: 'none',
      })
  })
})

describe('errors', () => {
  test('not there, no file, no path', async () => {
    const dir = testDir()
    const read = (file: string) => open().read(file, { signal: never, accept: () => undefined })
    await expect(read(path.join(dir, 'absent'))).rejects.toMatchObject({ code: 'not-found', effect: 'none' })
    await expect(read(dir)).rejects.toMatchObject({
      code: expect.stringMatching(/bad-request|device-rejected/),
    })
    await expect(open().list(path.join(dir, 'absent'), never)).rejects.toMatchObject({ code: 'not-found' })
    for (const wrong of ['', 'a\0b', '\uD800'])
      await expect(read(wrong)).rejects.toMatchObject({ code: 'bad-request' })
  })

  test('no right', async () => {
    const asNobody = 'setpriv --reuid=65534 --regid=65534 --clear-groups /usr/lib/openssh/sftp-server'
    const files = filesOf(await serverWith({ lines: [`Subsystem sftp ${asNobody}`] }))
    const { file } = randomFile(10)
    chmodSync(path.dirname(file), 0o755)
    chmodSync(file, 0o600)
    await expect(files.read(file, { signal: never, accept: () => undefined })).rejects.toMatchObject({
      code: 'auth-failed',
      object: `${file} on h`,
      facts: { 'the device says': 'Permission denied' },
    })
    const written = files.write(`${path.dirname(file)}/x`, repeat(Buffer.from('x'), 1), never)
    await expect(written).rejects.toMatchObject({ code: 'auth-failed', effect: 'none' })
  })

  test('a server without SFTP: not-supported, however often, and commands go on', async () => {
    const session = await serverWith({ lines: ['MaxSessions 3'] })
    for (let count = 0; count < 5; count += 1)
      await expect(filesOf(session).stat('/', never)).rejects.toMatchObject({
        code: 'not-supported',
        object: 'h',
        effect: 'none',
      })
    await Promise.all(Array.from({ length: 5 }, async () => await session.run(sh`true`, { signal: never })))
  })

  test('a server whose SFTP program is not there: not-supported', async () => {
    const files = filesOf(await serverWith({ lines: ['Subsystem sftp /nonexistent/sftp-server'] }))
    await expect(files.stat('/', never)).rejects.toMatchObject({ code: 'not-supported', effect: 'none' })
  })

  test('with sudo there are no files', () => {
    expect(testPool().session('h', { ...sshd.connection, sudo: true }).files).toBeUndefined()
  })
})

describe('a connection that is lost', () => {
  test('while a file is read: unreachable, no effect; the next one connects anew', async () => {
    const { proxy, connection } = await proxied()
    const { file, sha256: expected } = randomFile(16 * MiB)
    const files = filesOf(testPool().session('h', connection))
    let seen = 0
    const accept = (chunk: Uint8Array): void => {
      seen += chunk.length
      if (seen > 4 * MiB) proxy.cutAll()
    }
    await expect(files.read(file, { signal: never, accept })).rejects.toMatchObject({
      code: 'unreachable',
      effect: 'none',
    })
    expect(sha256(await readAll(files, file))).toBe(expected)
  })

  test('once while a file is read: what was accepted does not come again', async () => {
    const { proxy, connection } = await proxied()
    const { file } = randomFile(16 * MiB)
    const content = readFileSync(file)
    const files = filesOf(testPool().session('h', connection))
    let seen = 0
    let isCut = false
    const accept = (chunk: Uint8Array): void => {
      expect(content.subarray(seen, seen + chunk.length).equals(chunk)).toBe(true)
      seen += chunk.length
      if (!isCut && seen > 4 * MiB) {
        isCut = true
        proxy.cutAll()
      }
    }
    await expect(files.read(file, { signal: never, accept })).rejects.toMatchObject({
      code: 'unreachable',
      effect: 'none',
    })
  })

  test('while a file is written: the old one stays, and what was begun is removed over a new connection', async () => {
    const { proxy, connection } = await proxied()
    const dir = testDir()
    const file = path.join(dir, 'kept')
    writeFileSync(file, 'old')
    const files = filesOf(testPool().session('h', connection))
    async function* cutting(): AsyncGenerator<Uint8Array> {
      yield* repeat(randomBytes(100_000), 50)
      proxy.cutAll()
      yield* repeat(randomBytes(100_000), 50)
    }
    await expect(files.write(file, cutting(), never)).rejects.toMatchObject({
      code: 'unreachable',
      effect: 'none',
    })
    expect(readFileSync(file, 'utf8')).toBe('old')
    expect(readdirSync(dir)).toEqual(['kept'])
  })

  test('while a file is written, and it stays away: what may be left is named', async () => {
    const { proxy, connection } = await proxied()
    const dir = testDir()
    const files = filesOf(testPool().session('h', connection))
    async function* cutting(): AsyncGenerator<Uint8Array> {
      yield* repeat(randomBytes(100_000), 50)
      await until(() => readdirSync(dir).length === 1)
      await proxy.stop()
      yield* repeat(randomBytes(100_000), 50)
    }
    const failure: unknown = await files
      .write(path.join(dir, 'new'), cutting(), never)
      .catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'unreachable', effect: 'unknown' })
    const left = (failure as { facts: Record<string, string> }).facts['may be left there'] ?? ''
    expect(readdirSync(dir)).toEqual([path.basename(left)])
    expect(existsSync(path.join(dir, 'new'))).toBe(false)
  })

  test('at any byte while a file service is opened: it is opened again, or unreachable', async () => {
    const { proxy, connection } = await proxied()
    const session = testPool().session('h', connection)
    await session.connect(never)
    const login = proxy.serverBytes
    await filesOf(session).stat('/', never)
    const whole = proxy.serverBytes
    for (const share of [0.05, 0.3, 0.5, 0.7, 0.9]) {
      proxy.options = { afterServerBytes: Math.ceil(login + (whole - login) * share) }
      const files = filesOf(testPool().session('h', connection))
      const code = await files.stat('/', never).then(
        () => 'done',
        (error: { code: string; effect: string }) => `${error.code} ${error.effect}`,
      )
      expect(code, `cut at ${share}`).toBe('unreachable none')
      proxy.options = {}
      expect(await files.stat('/', never)).toMatchObject({ kind: 'folder' })
    }
  })
})

describe('servers with other manners', () => {
  test('short answers are asked on for; without extensions a new file is written all the same', async () => {
    const content = randomBytes(700_001)
    const written: Buffer[] = []
    const files = await oddServer((session) =>
      session.on('sftp', (accept) => {
        const sftp = accept()
        const attributes = { mode: 0o100644, uid: 0, gid: 0, size: content.length, atime: 0, mtime: 0 }
        sftp
          .on('OPEN', (id) => sftp.handle(id, Buffer.from('h')))
          .on('FSTAT', (id) => sftp.attrs(id, attributes))
          .on('READ', (id, _handle, offset, length) =>
            offset >= content.length
              ? sftp.status(id, 1)
              : sftp.data(id, content.subarray(offset, offset + Math.min(length, 10_007))),
          )
          .on('WRITE', (id, _handle, offset, data) => {
            written[offset] = data
            sftp.status(id, 0)
          })
          .on('CLOSE', (id) => sftp.status(id, 0))
          .on('RENAME', (id, _from, to) => sftp.status(id, to === '/taken' ? 4 : 0))
          .on('REMOVE', (id) => sftp.status(id, 0))
      }),
    )
    expect(await readAll(files, '/x')).toEqual(content)
    await files.write('/new', repeat(content, 1), never)
    expect(Buffer.concat(Object.values(written))).toEqual(content)
    await expect(files.write('/taken', repeat(content, 1), never)).rejects.toMatchObject({
      code: 'device-rejected',
      effect: 'none',
    })
  })

  test('rubbish, a silent server and one that hangs up', async () => {
    const raw = async (answer: (channel: ServerChannel) => void): Promise<RemoteFiles> =>
      await oddServer((session) => {
        session.on('subsystem', (accept) => answer(accept()))
      })
    const rubbish = await raw((channel) => channel.write('Welcome to the machine of Joe\r\n'))
    await expect(rubbish.stat('/', never)).rejects.toMatchObject({ code: 'not-supported', effect: 'none' })
    const later = await raw((channel) => {
      channel.write(Buffer.from([0, 0, 0, 5, 2, 0, 0, 0, 3]))
      channel.once('data', () => channel.once('data', () => channel.write(Buffer.from([0, 0, 0, 2, 250, 0]))))
    })
    await expect(later.stat('/', never)).rejects.toMatchObject({ code: 'device-rejected', effect: 'none' })
    const hangsUp = await oddServer((session) =>
      session.on('sftp', (accept) => {
        const sftp = accept()
        sftp.on('STAT', () => sftp.end())
      }),
    )
    await expect(hangsUp.stat('/', never)).rejects.toMatchObject({
      code: 'device-rejected',
      message: 'The device closed its file service',
    })
    const controller = new AbortController()
    const silent = await oddServer((session) =>
      session.on('sftp', (accept) => accept().on('STAT', () => controller.abort())),
    )
    await expect(silent.stat('/', controller.signal)).rejects.toMatchObject({
      code: 'cancelled',
      effect: 'none',
    })
  })
})
