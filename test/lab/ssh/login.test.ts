import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import path from 'node:path'
import type { AuthContext } from 'ssh2'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { SshConnection } from '#shared/domain/connection.ts'
import { encodeError } from '#shared/errors/wire-error.ts'
import { sh } from '#main/transports/shell/script.ts'
import { createSecretProvider } from '#main/transports/ssh/secrets.ts'
import { startOddServer } from './odd-server.ts'
import { Answers, never, testDir, testPool, until } from './setup.ts'
import { freePort, makeKey, publicKeyOf, startSshd, type Sshd } from './sshd.ts'

let sshd: Sshd
beforeAll(async () => {
  sshd = await startSshd()
})
afterAll(async () => await sshd.stop())

const authorize = (key: string): void =>
  appendFileSync(path.join(sshd.dir, 'authorized_keys'), `${publicKeyOf(key)}\n`)
const user = userInfo().username

async function failureOf(connection: SshConnection, options = {}): Promise<ReturnType<typeof encodeError>> {
  const session = testPool(options).session('host h', connection)
  return encodeError(await session.connect(never).catch((error: unknown) => error))
}

describe('login with keys', () => {
  test.each(['ed25519', 'ecdsa', 'rsa'])('an %s key, from a file and from an agent', async (type) => {
    const dir = testDir()
    const key = makeKey(path.join(dir, 'key'), type)
    authorize(key)
    await testPool()
      .session('h', { ...sshd.connection, identityFiles: [key] })
      .connect(never)
    const socket = path.join(dir, 'agent')
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' })
    onTestFinished(() => void agent.kill())
    await until(() => {
      try {
        execFileSync('ssh-add', [key], { env: { ...process.env, SSH_AUTH_SOCK: socket }, stdio: 'ignore' })
        return true
      } catch {
        return false
      }
    })
    rmSync(key)
    const { identityFiles: _none, ...rest } = sshd.connection
    const pool = testPool({ env: { SSH_AUTH_SOCK: socket } })
    await pool.session('h', { ...rest, agent: true }).connect(never)
  })

  test('a key that is named comes before the agent, the usual files after it', async () => {
    const dir = testDir()
    const [named, inAgent, usual] = ['named', 'agent-key', '.ssh/id_ed25519']
    mkdirSync(path.join(dir, '.ssh'))
    const keys = [named, inAgent, usual].map((name) => makeKey(path.join(dir, name ?? '')))
    const socket = path.join(dir, 'agent')
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' })
    onTestFinished(() => void agent.kill())
    await until(() => {
      try {
        execFileSync('ssh-add', [keys[1] ?? ''], { env: { SSH_AUTH_SOCK: socket }, stdio: 'ignore' })
        return true
      } catch {
        return false
      }
    })
    const options = { homeDir: dir, env: { SSH_AUTH_SOCK: socket } }
    const { agent: _off, identityFiles: _files, ...rest } = sshd.connection
    const first = await failureOf({ ...rest, identityFiles: [keys[0] ?? ''] }, options)
    expect(first).toMatchObject({ code: 'auth-failed', effect: 'none', object: 'host h' })
    expect(first.facts['tried']).toMatch(
      /^key .*\/named \(ssh-ed25519 SHA256:\S+\): refused; agent key \S+ \S+: refused$/,
    )
    const second = await failureOf(rest, options)
    expect(second.facts['tried']).toMatch(/^agent key .*refused; key .*id_ed25519 .*refused$/)
  })

  test('an encrypted key asks for its passphrase only once the server takes it, and again when it is wrong', async () => {
    const dir = testDir()
    const key = makeKey(path.join(dir, 'key'), 'ed25519', 'open sesame')
    const refused = new Answers(() => 'open sesame')
    await failureOf({ ...sshd.connection, identityFiles: [key] }, { secrets: refused })
    expect(refused.asked).toEqual([])
    authorize(key)
    const replies = ['wrong', 'open sesame']
    const answers = new Answers(() => replies.shift())
    const session = testPool({ secrets: answers }).session('h', { ...sshd.connection, identityFiles: [key] })
    await session.run(sh`true`, { signal: never })
    expect(answers.asked.map(({ label }) => label)).toEqual([`passphrase of ${key}`, `passphrase of ${key}`])
    const none = await failureOf({ ...sshd.connection, identityFiles: [key] })
    expect(none.facts['tried']).toMatch(/passphrase .* is wrong or was not given/)
  })

  test('an old PEM key without its public half asks at once', async () => {
    const dir = testDir()
    const key = path.join(dir, 'key')
    execFileSync('ssh-keygen', ['-q', '-t', 'rsa', '-m', 'PEM', '-N', 'secret', '-f', key])
    authorize(key)
    rmSync(`${key}.pub`)
    const passphrase = { from: 'env', variable: 'KEY_PASS' } as const
    const secrets = createSecretProvider({ env: { KEY_PASS: 'secret' } })
    await testPool({ secrets })
      .session('h', { ...sshd.connection, identityFiles: [key], passphrase })
      .connect(never)
  })

  test('says what it cannot use: FIDO keys, missing files, other files', async () => {
    const dir = testDir()
    const names = ['sk', 'junk'].map((name) => path.join(dir, name))
    const [sk = '', junk = ''] = names
    writeFileSync(sk, readFileSync(makeKey(path.join(dir, 'k'), 'ed25519', 'x'), 'latin1').slice(0, 40))
    const blob = Buffer.concat([Buffer.from([0, 0, 0, 26]), Buffer.from('sk-ssh-ed25519@openssh.com')])
    writeFileSync(`${sk}.pub`, `sk-ssh-ed25519@openssh.com ${blob.toString('base64')}\n`)
    writeFileSync(junk, 'hello\n')
    const failure = await failureOf({ ...sshd.connection, identityFiles: [sk, junk, path.join(dir, 'none')] })
    expect(failure.facts['tried']).toContain(
      `key ${sk}: is on a FIDO security key, which Gantry does not support`,
    )
    expect(failure.facts['tried']).toContain(`key ${junk}: is in no format`)
    expect(failure.facts['tried']).toContain('there is no such file')
  })

  test('too many keys: auth-failed, not a lost connection', async () => {
    const dir = testDir()
    const identityFiles = Array.from({ length: 7 }, (_, index) => makeKey(path.join(dir, `key${index}`)))
    expect(await failureOf({ ...sshd.connection, identityFiles })).toMatchObject({ code: 'auth-failed' })
  })
})

describe('login with secrets', () => {
  const canary = 'canary-7f3a'
  const server = async (dir: string, check: (context: AuthContext) => void): Promise<SshConnection> => {
    const odd = await startOddServer(dir, check)
    onTestFinished(async () => await odd.stop())
    writeFileSync(path.join(dir, 'kh'), `[127.0.0.1]:${odd.port} ${publicKeyOf(odd.hostKey)}\n`)
    const knownHostsFiles = [path.join(dir, 'kh')]
    return {
      host: '127.0.0.1',
      port: odd.port,
      user: 'admin',
      configFile: null,
      agent: false,
      knownHostsFiles,
    }
  }
  const byPassword = (context: AuthContext): void => {
    if (context.method === 'password' && context.password === canary) context.accept()
    else context.reject(['password'])
  }

  test('a password from the environment; it is in no error', async () => {
    const connection = await server(testDir(), byPassword)
    const password = { from: 'env', variable: 'PW' } as const
    const right = createSecretProvider({ env: { PW: canary } })
    await testPool({ secrets: right })
      .session('h', { ...connection, password })
      .connect(never)
    const wrong = createSecretProvider({ env: { PW: `${canary}-wrong` } })
    const failure = await failureOf({ ...connection, password }, { secrets: wrong })
    expect(failure).toMatchObject({
      code: 'auth-failed',
      facts: { tried: 'password: refused', accepted: 'password' },
    })
    expect(JSON.stringify(failure)).not.toContain(canary)
  })

  test('a wrong password is asked for again; the right one is remembered for the next connection', async () => {
    const connection = await server(testDir(), byPassword)
    const replies = ['wrong', canary]
    const answers = new Answers(() => replies.shift())
    const pool = testPool({ secrets: answers })
    await pool.session('h', connection).connect(never)
    expect(answers.asked[0]?.label).toBe(`password of admin@127.0.0.1:${connection.port}`)
    await pool.session('h2', connection).connect(never)
    expect(answers.asked).toHaveLength(2)
  })

  test('questions of the server: the password where it asks for one, the user for the rest', async () => {
    const connection = await server(testDir(), (context) => {
      if (context.method !== 'keyboard-interactive') {
        context.reject(['keyboard-interactive'])
        return
      }
      context.prompt([{ prompt: 'Password: ', echo: false }], (first) => {
        context.prompt([{ prompt: 'Code\u001b[31m: ', echo: true }], (second) => {
          if (first?.[0] === canary && second?.[0] === '42') context.accept()
          else context.reject()
        })
      })
    })
    const answers = new Answers(({ purpose }) => (purpose === 'password' ? canary : '42'))
    await testPool({ secrets: answers }).session('h', connection).connect(never)
    expect(answers.asked[1]).toMatchObject({ purpose: 'keyboard-interactive' })
    expect(answers.asked[1]?.label).not.toContain('\u001b')
  })

  test('a question can be cancelled', async () => {
    const connection = await server(testDir(), byPassword)
    const cancel = new AbortController()
    const secrets = {
      getSecret: async (_request: unknown, signal: AbortSignal) => {
        cancel.abort()
        await once(signal, 'abort').catch(() => undefined)
        return undefined
      },
    }
    const connecting = testPool({ secrets }).session('h', connection).connect(cancel.signal)
    await expect(connecting).rejects.toMatchObject({ code: 'cancelled', effect: 'none' })
  })
})

describe('what cannot be reached', () => {
  const where = { user, configFile: null, agent: false } as const

  test('a name nobody knows, a port nobody listens on', async () => {
    const unknown = await failureOf({ ...where, host: 'no-such-host.invalid' })
    expect(unknown).toMatchObject({ code: 'unreachable', effect: 'none' })
    expect(unknown.message).toContain('no-such-host.invalid')
    const refused = await failureOf({ ...where, host: '127.0.0.1', port: await freePort() })
    expect(refused).toMatchObject({ code: 'unreachable', object: 'host h' })
    expect(refused.message).toContain('refuses the connection')
  })

  test('no algorithm in common is said so', async () => {
    const old = await startSshd({ lines: ['Ciphers aes128-cbc'] })
    onTestFinished(async () => await old.stop())
    const failure = await failureOf(old.connection)
    expect(failure).toMatchObject({ code: 'not-supported' })
    expect(failure.facts['reason']).toContain('cipher')
    const dir = testDir()
    const configFile = path.join(dir, 'config')
    writeFileSync(configFile, 'Host *\n  Ciphers +aes128-cbc\n')
    await testPool()
      .session('h', { ...old.connection, configFile })
      .run(sh`true`, { signal: never })
  })
})
