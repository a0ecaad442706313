import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sh } from '#main/transports/shell/script.ts'
import { stdoutText } from '#main/transports/shell/shell.ts'
import type { SshSession } from '#main/transports/ssh/contract.ts'
import { never, testDir, testPool, until } from './setup.ts'
import { startSshd, type Sshd } from './sshd.ts'

let sshd: Sshd
beforeAll(async () => {
  sshd = await startSshd()
})
afterAll(async () => await sshd.stop())

const open = (): SshSession => testPool().session('array lab', sshd.connection)
const isAlive = (pid: string): boolean => {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
async function readSoon(file: string): Promise<string> {
  await until(() => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n'))
  return readFileSync(file, 'utf8').trim()
}

describe('a command over SSH', () => {
  test('gives output, standard error and exit code, under LC_ALL=C', async () => {
    const script = sh`printf '%s' ${'a\n\'b" $(id)'}; printf '%s' "$LC_ALL" >&2; exit 3`
    const result = await open().run(script, { signal: never, expectExit: [3] })
    expect(stdoutText(result)).toBe('a\n\'b" $(id)')
    expect(result.stderr).toBe('C')
    expect(result.exitCode).toBe(3)
  })

  test('an exit code that is not expected is device-rejected, with the device’s words', async () => {
    const running = open().run(sh`echo no such target >&2; exit 22`, { signal: never })
    await expect(running).rejects.toMatchObject({
      code: 'device-rejected',
      object: 'array lab',
      effect: 'unknown',
      facts: { exitCode: '22', stderr: 'no such target' },
    })
  })

  test('the end by a signal is told', async () => {
    const running = open().run(sh`kill -KILL $$`, { signal: never, expectExit: [0, 137] })
    await expect(running).rejects.toMatchObject({ code: 'device-rejected', facts: { signal: 'SIGKILL' } })
  })

  test('more output than allowed is refused', async () => {
    const running = open().run(sh`yes`, { signal: never, maxOutputBytes: 100_000 })
    await expect(running).rejects.toMatchObject({ code: 'device-rejected', effect: 'unknown' })
  })

  test('64 MiB go there and back unharmed, with back-pressure at both ends', async () => {
    const block = Buffer.alloc(1024 * 1024)
    for (let index = 0; index < block.length; index += 1) block[index] = (index * 31 + (index >> 8)) & 255
    const sent = createHash('sha256')
    const received = createHash('sha256')
    let given = 0
    let accepted = 0
    let widest = 0
    let inSink = 0
    let mostInSink = 0
    async function* blocks(): AsyncGenerator<Uint8Array> {
      for (let count = 0; count < 64; count += 1) {
        sent.update(block)
        given += block.length
        widest = Math.max(widest, given - accepted)
        yield block
        await Promise.resolve()
      }
    }
    const started = performance.now()
    await open().run(sh`cat`, {
      signal: never,
      stdin: blocks(),
      onStdout: async (chunk) => {
        inSink += 1
        mostInSink = Math.max(mostInSink, inSink)
        await new Promise((resolve) => {
          setImmediate(resolve)
        })
        received.update(chunk)
        accepted += chunk.length
        inSink -= 1
      },
    })
    const seconds = (performance.now() - started) / 1000
    console.log(`64 MiB each way in ${seconds.toFixed(1)} s: ${(128 / seconds).toFixed(0)} MiB/s in all`)
    expect(accepted).toBe(64 * block.length)
    expect(received.digest('hex')).toBe(sent.digest('hex'))
    expect(mostInSink).toBe(1)
    expect(widest).toBeLessThan(24 * 1024 * 1024)
  })

  test('input may be longer than what the command reads; none at all is an empty input', async () => {
    const session = open()
    const many = Buffer.alloc(8 * 1024 * 1024, 97)
    const result = await session.run(sh`head -c 5`, { signal: never, stdin: many })
    expect(stdoutText(result)).toBe('aaaaa')
    expect(stdoutText(await session.run(sh`cat; echo end`, { signal: never }))).toBe('end\n')
  })

  test('what a source or a sink throws comes out of run, and the session lives on', async () => {
    const session = open()
    const broken = async (): Promise<void> => await Promise.reject(new Error('disk full'))
    await expect(session.run(sh`yes`, { signal: never, onStdout: broken })).rejects.toThrow('disk full')
    async function* source(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('x')
      await Promise.reject(new Error('unreadable'))
    }
    await expect(session.run(sh`cat >/dev/null`, { signal: never, stdin: source() })).rejects.toThrow(
      'unreadable',
    )
    await session.run(sh`true`, { signal: never })
  })

  test('twenty commands at once go over one connection, never more than the limit at a time', async () => {
    const dir = testDir()
    const session = testPool().session('array lab', sshd.connection)
    const before = sshd.log().split('Accepted publickey').length
    const script = sh`mkdir ${dir}/run.$$; ls ${dir} | wc -l; sleep 0.2; rmdir ${dir}/run.$$`
    const results = await Promise.all(
      Array.from({ length: 20 }, async () => await session.run(script, { signal: never })),
    )
    const most = Math.max(...results.map((result) => Number(stdoutText(result))))
    expect(most).toBeLessThanOrEqual(8)
    expect(most).toBeGreaterThan(1)
    expect(sshd.log().split('Accepted publickey').length - before).toBe(1)
  })

  test('sudo is asked never to ask; its refusal is told as such', async () => {
    const dir = testDir()
    const bin = path.join(dir, 'bin')
    mkdirSync(bin)
    const own = await startSshd({ lines: [`SetEnv PATH=${bin}:/usr/bin:/bin SHLVL=2`] })
    try {
      const session = testPool().session('host h', { ...own.connection, sudo: true })
      const sudo = path.join(bin, 'sudo')
      writeFileSync(sudo, '#!/bin/sh\n[ "$1 $2" = "-n --" ] || exit 9\nshift 2\nAS_ROOT=yes exec "$@"\n')
      chmodSync(sudo, 0o755)
      expect(stdoutText(await session.run(sh`echo "$AS_ROOT"`, { signal: never }))).toBe('yes\n')
      writeFileSync(sudo, '#!/bin/sh\necho "sudo: a password is required" >&2; exit 1\n')
      await expect(session.run(sh`id`, { signal: never })).rejects.toMatchObject({ code: 'auth-failed' })
    } finally {
      await own.stop()
    }
  })
})

describe('a command that is given up', () => {
  test('a cancelled script that is not tethered runs to its end; the effect is unknown', async () => {
    const dir = testDir()
    const cancel = new AbortController()
    const script = sh`echo "$$" >${dir}/pid; while [ ! -e ${dir}/go ]; do sleep 0.02; done; echo output; echo done >${dir}/end`
    const session = open()
    const running = session.run(script, { signal: cancel.signal })
    running.catch(() => undefined)
    const pid = await readSoon(path.join(dir, 'pid'))
    cancel.abort()
    await expect(running).rejects.toMatchObject({ code: 'cancelled', effect: 'unknown' })
    expect(isAlive(pid)).toBe(true)
    writeFileSync(path.join(dir, 'go'), '')
    expect(await readSoon(path.join(dir, 'end'))).toBe('done')
    await session.run(sh`true`, { signal: never })
  })

  test('time over: timeout, effect unknown', async () => {
    const running = open().run(sh`sleep 0.6`, { signal: never, timeoutMs: 100 })
    await expect(running).rejects.toMatchObject({ code: 'timeout', effect: 'unknown' })
  })

  test('cancelled before anything was sent: no effect', async () => {
    const cancel = AbortSignal.abort()
    await expect(open().run(sh`true`, { signal: cancel })).rejects.toMatchObject({
      code: 'cancelled',
      effect: 'none',
    })
  })

  test('waiting for a free channel counts: timeout without effect', async () => {
    const session = testPool({ maxChannels: 1 }).session('array lab', sshd.connection)
    const first = session.run(sh`sleep 1`, { signal: never })
    const second = session.run(sh`true`, { signal: never, timeoutMs: 50 })
    await expect(second).rejects.toMatchObject({ code: 'timeout', effect: 'none' })
    await first
  })

  const stubborn = (dir: string): ReturnType<typeof sh> =>
    sh`trap '' TERM; sleep 300 & echo "$$ $!" >${dir}/pids; while :; do sleep 0.1; done`
  const gone = async (pids: string): Promise<void> =>
    await until(() => pids.split(' ').every((pid) => !isAlive(pid)))

  test('tethered and cancelled: the whole process group is gone when run returns, even if it ignores TERM', async () => {
    const dir = testDir()
    const cancel = new AbortController()
    const running = open().run(stubborn(dir), { signal: cancel.signal, tethered: true })
    running.catch(() => undefined)
    const pids = await readSoon(path.join(dir, 'pids'))
    cancel.abort()
    await expect(running).rejects.toMatchObject({ code: 'cancelled', effect: 'unknown' })
    expect(pids.split(' ').map(isAlive)).toEqual([false, false])
  })

  test('tethered and out of time: the same', async () => {
    const dir = testDir()
    const script = sh`echo "$$" >${dir}/pids; sleep 300`
    const running = open().run(script, { signal: never, tethered: true, timeoutMs: 300 })
    await expect(running).rejects.toMatchObject({ code: 'timeout', effect: 'unknown' })
    expect(isAlive(await readSoon(path.join(dir, 'pids')))).toBe(false)
  })

  test('tethered and the pool closed: the process group ends', async () => {
    const dir = testDir()
    const pool = testPool()
    const running = pool
      .session('array lab', sshd.connection)
      .run(stubborn(dir), { signal: never, tethered: true })
    running.catch(() => undefined)
    const pids = await readSoon(path.join(dir, 'pids'))
    await pool.close()
    await expect(running).rejects.toMatchObject({ code: 'cancelled', effect: 'unknown' })
    await gone(pids)
  })

  test('tethered: exit status, output and an end without leftovers', async () => {
    const session = open()
    const result = await session.run(
      sh`echo out; echo err >&2; sleep 300 >/dev/null 2>&1 & echo "$!"; exit 5`,
      {
        signal: never,
        tethered: true,
        expectExit: [5],
      },
    )
    const [word, pid = ''] = stdoutText(result).trim().split('\n')
    expect([word, result.stderr]).toEqual(['out', 'err\n'])
    await gone(pid)
    const mixed = session.run(sh`cat`, { signal: never, tethered: true, stdin: Buffer.from('x') })
    await expect(mixed).rejects.toMatchObject({ code: 'bad-request' })
  })

  test('a closed session refuses; the pool gives a new one', async () => {
    const pool = testPool()
    const session = pool.session('array lab', sshd.connection)
    await session.connect(never)
    await session.close()
    await expect(session.run(sh`true`, { signal: never })).rejects.toMatchObject({
      code: 'cancelled',
      effect: 'none',
    })
    await pool.session('array lab', sshd.connection).run(sh`true`, { signal: never })
  })
})

test('a small command on a warm connection (figure)', async () => {
  const session = open()
  await session.run(sh`true`, { signal: never })
  const started = performance.now()
  for (let count = 0; count < 50; count += 1) await session.run(sh`true`, { signal: never })
  console.log(`${((performance.now() - started) / 50).toFixed(1)} ms for each command`)
})
