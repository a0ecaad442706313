import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { SshConnection } from '#shared/domain/connection.ts'
import { encodeError } from '#shared/errors/wire-error.ts'
import { sh } from '#main/transports/shell/script.ts'
import { stdoutText } from '#main/transports/shell/shell.ts'
import { startOddServer } from './odd-server.ts'
import { CuttingProxy } from './proxy.ts'
import { never, testDir, testPool, until } from './setup.ts'
import { publicKeyOf, startSshd, type Sshd } from './sshd.ts'

let sshd: Sshd
beforeAll(async () => {
  sshd = await startSshd()
})
afterAll(async () => await sshd.stop())

async function proxied(): Promise<{ proxy: CuttingProxy; connection: SshConnection }> {
  const proxy = await CuttingProxy.start(sshd.port)
  onTestFinished(async () => await proxy.stop())
  const file = path.join(testDir(), 'kh')
  writeFileSync(file, `[127.0.0.1]:${proxy.port} ${publicKeyOf(sshd.hostKey)}\n`)
  return { proxy, connection: { ...sshd.connection, port: proxy.port, knownHostsFiles: [file] } }
}

describe('a connection that is lost', () => {
  test('at any byte of handshake and login: unreachable, no effect, and the next command works', async () => {
    const { proxy, connection } = await proxied()
    const mark = path.join(testDir(), 'mark')
    await testPool().session('h', connection).connect(never)
    const whole = proxy.serverBytes
    expect(whole).toBeGreaterThan(1000)
    for (const share of [0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.97]) {
      proxy.options = { afterServerBytes: Math.floor(whole * share) + 1 }
      const session = testPool().session('h', connection)
      const failure = encodeError(
        await session.run(sh`echo ran >>${mark}`, { signal: never }).catch((error: unknown) => error),
      )
      expect(failure, `cut at ${share}`).toMatchObject({ code: 'unreachable', effect: 'none', object: 'h' })
      proxy.options = {}
      await session.run(sh`true`, { signal: never })
    }
    expect(existsSync(mark)).toBe(false)
  })

  test('while a script runs: effect unknown, it is not run again, the next command connects anew', async () => {
    const { proxy, connection } = await proxied()
    const file = path.join(testDir(), 'runs')
    const session = testPool().session('h', connection)
    const running = session.run(sh`echo run >>${file}; sleep 5`, { signal: never })
    running.catch(() => undefined)
    await until(() => existsSync(file))
    proxy.cutAll()
    await expect(running).rejects.toMatchObject({ code: 'unreachable', effect: 'unknown' })
    expect(stdoutText(await session.run(sh`echo back`, { signal: never }))).toBe('back\n')
    expect(readFileSync(file, 'utf8')).toBe('run\n')
    expect(proxy.accepted).toBe(2)
  })

  test('in the middle of the output, and of the input: effect unknown', async () => {
    const { proxy, connection } = await proxied()
    const session = testPool().session('h', connection)
    let seen = 0
    const reading = session.run(sh`cat /dev/zero`, {
      signal: never,
      onStdout: (chunk) => {
        seen += chunk.length
        if (seen > 1_000_000) proxy.cutAll()
      },
    })
    await expect(reading).rejects.toMatchObject({ code: 'unreachable', effect: 'unknown' })
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (let count = 0; ; count += 1) {
        if (count === 100) proxy.cutAll()
        yield await Promise.resolve(Buffer.alloc(65_536))
      }
    }
    const writing = session.run(sh`cat >/dev/null`, { signal: never, stdin: endless() })
    await expect(writing).rejects.toMatchObject({ code: 'unreachable', effect: 'unknown' })
  })

  test('a tethered script ends with its connection', async () => {
    const { proxy, connection } = await proxied()
    const file = path.join(testDir(), 'pid')
    const running = testPool()
      .session('h', connection)
      .run(sh`echo $$ >${file}; sleep 300`, {
        signal: never,
        tethered: true,
      })
    running.catch(() => undefined)
    await until(() => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n'))
    const pid = readFileSync(file, 'utf8').trim()
    proxy.cutAll()
    await expect(running).rejects.toMatchObject({ code: 'unreachable', effect: 'unknown' })
    await until(
      () => !existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z'),
    )
  })

  test('silence is noticed by the keep-alive', async () => {
    const { proxy, connection } = await proxied()
    const session = testPool({ keepAlive: { intervalMs: 50, count: 3 } }).session('h', connection)
    const file = path.join(testDir(), 'mark')
    const running = session.run(sh`echo >${file}; sleep 5`, { signal: never })
    running.catch(() => undefined)
    await until(() => existsSync(file))
    proxy.silence()
    await expect(running).rejects.toMatchObject({ code: 'unreachable', effect: 'unknown' })
  })

  test('a connection that died while idle is replaced without the caller noticing', async () => {
    const { proxy, connection } = await proxied()
    const session = testPool().session('h', connection)
    await session.connect(never)
    proxy.cutAll()
    await until(async () => {
      try {
        await session.run(sh`true`, { signal: never })
        return true
      } catch {
        return false
      }
    })
    expect(proxy.accepted).toBe(2)
  })

  test('many who want it connect once; one who leaves does not spoil it for the others', async () => {
    const { proxy, connection } = await proxied()
    const session = testPool().session('h', connection)
    const leave = new AbortController()
    const impatient = session.run(sh`true`, { signal: leave.signal })
    const others = Array.from({ length: 5 }, async () => await session.run(sh`true`, { signal: never }))
    leave.abort()
    await expect(impatient).rejects.toMatchObject({ code: 'cancelled', effect: 'none' })
    await Promise.all(others)
    expect(proxy.accepted).toBe(1)
  })
})

describe('servers with other manners', () => {
  test('a port that says nothing, and one that is no SSH server', async () => {
    const server = net.createServer((socket) =>
      socket.on('error', () => undefined).end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const session = testPool().session('h', { ...sshd.connection, port })
    await expect(session.connect(never)).rejects.toMatchObject({ code: 'unreachable', effect: 'none' })
  })

  test('fewer channels than our limit: the rest wait for their turn', async () => {
    const small = await startSshd({ lines: ['MaxSessions 2'] })
    onTestFinished(async () => await small.stop())
    const session = testPool().session('h', small.connection)
    const runs = Array.from({ length: 10 }, async () => await session.run(sh`sleep 0.05`, { signal: never }))
    expect(await Promise.all(runs)).toHaveLength(10)
  })

  test('no channels at all, or an end without a word, is an error and not a wait', async () => {
    const none = await startSshd({ lines: ['MaxSessions 0'] })
    onTestFinished(async () => await none.stop())
    const refused = testPool()
      .session('h', none.connection)
      .run(sh`true`, { signal: never })
    await expect(refused).rejects.toMatchObject({ code: 'device-rejected', effect: 'none' })
    const dir = testDir()
    const odd = await startOddServer(
      dir,
      (context) => context.accept(),
      (channel) => channel.close(),
    )
    onTestFinished(async () => await odd.stop())
    writeFileSync(path.join(dir, 'kh'), `[127.0.0.1]:${odd.port} ${publicKeyOf(odd.hostKey)}\n`)
    const connection = { ...sshd.connection, port: odd.port, knownHostsFiles: [path.join(dir, 'kh')] }
    const mute = testPool()
      .session('h', connection)
      .run(sh`true`, { signal: never })
    await expect(mute).rejects.toMatchObject({ code: 'unreachable', effect: 'unknown' })
  })
})
