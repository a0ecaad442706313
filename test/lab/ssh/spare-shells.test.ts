import { existsSync, readFileSync } from 'node:fs'
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

/** A session on which scripts run in shells that were started ahead: what they print as $$ was there before. */
async function warm(options: { readonly maxChannels?: number } = {}): Promise<SshSession> {
  const session = testPool(options).session('array lab', sshd.connection)
  await until(async () => await isAhead(session))
  return session
}

async function isAhead(session: SshSession): Promise<boolean> {
  const { stdout } = await session.run(sh`cat /proc/$$/cmdline`, { signal: never })
  // A script that was sent with its shell stands in that shell's arguments.
  return !Buffer.from(stdout).toString().includes('cmdline')
}

describe('a script in a shell that was started ahead', () => {
  test('has its own output, standard error, exit code, environment and empty input', async () => {
    const session = await warm()
    const script = sh`printf '%s|%s|' ${'a\n\'b" $(id)'} "$LC_ALL"; cat; echo words >&2; exit 3`
    const result = await session.run(script, { signal: never, expectExit: [3] })
    expect(stdoutText(result)).toBe('a\n\'b" $(id)|C|')
    expect([result.exitCode, result.stderr]).toEqual([3, 'words\n'])
  })

  test('ends where it fails under set -e, runs its EXIT trap, and tells an end by a signal', async () => {
    const session = await warm()
    const failing = sh`set -eu; trap 'echo cleaned' EXIT; false; echo not reached`
    expect(stdoutText(await session.run(failing, { signal: never, expectExit: [1] }))).toBe('cleaned\n')
    await expect(session.run(sh`kill -KILL $$`, { signal: never })).rejects.toMatchObject({
      code: 'device-rejected',
      facts: { signal: 'SIGKILL' },
    })
    expect(stdoutText(await session.run(sh`echo still here`, { signal: never }))).toBe('still here\n')
  })

  test('nothing of one script is there in the next', async () => {
    const session = await warm()
    await session.run(sh`cd /; umask 777; x=1; export x; f() { :; }`, { signal: never })
    const { stdout } = await session.run(sh`echo "$(pwd)" "$(umask)" "\${x-unset}"; ! command -v f`, {
      signal: never,
    })
    expect(Buffer.from(stdout).toString()).not.toMatch(/^\/ | 0?777 | 1$/m)
    expect(Buffer.from(stdout).toString()).toMatch(/ unset$/m)
  })

  test('that is cancelled goes on to its end on the device, as every script does', async () => {
    const file = path.join(testDir(), 'done')
    const session = await warm()
    const cancel = new AbortController()
    const running = session.run(sh`: >${`${file}.begun`}; sleep 0.3; echo done >${file}`, {
      signal: cancel.signal,
    })
    await until(() => exists(`${file}.begun`))
    cancel.abort()
    await expect(running).rejects.toMatchObject({ code: 'cancelled', effect: 'unknown' })
    await until(() => exists(file) && readFileSync(file, 'utf8') === 'done\n')
  })

  test('waiting shells never keep a channel from work that needs it', async () => {
    const session = await warm({ maxChannels: 3 })
    const held = Array.from({ length: 3 }, () =>
      session.run(sh`read -r _ && echo over`, { signal: never, stdin: Buffer.from('x\n') }),
    )
    for (const { stdout } of await Promise.all(held)) expect(Buffer.from(stdout).toString()).toBe('over\n')
  })

  test('when the connection is closed they have ended', async () => {
    const session = await warm()
    const waiting = async (): Promise<string[]> => {
      const beside = sh`for pid in $(ps -o pid= --ppid "$PPID"); do [ "$pid" = "$$" ] || echo "$pid"; done`
      return stdoutText(await session.run(beside, { signal: never }))
        .split('\n')
        .filter(Boolean)
    }
    let pids: string[] = []
    await until(async () => (pids = await waiting()).length > 0)
    await session.close()
    expect(pids.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([])
  })

  test('with one channel at most there are none', async () => {
    const session = testPool({ maxChannels: 1 }).session('array lab', sshd.connection)
    for (let count = 0; count < 3; count += 1) expect(await isAhead(session)).toBe(false)
  })
})

function exists(file: string): boolean {
  try {
    readFileSync(file)
    return true
  } catch {
    return false
  }
}
