import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { SshConnection } from '#shared/domain/connection.ts'
import { sh } from '#main/transports/shell/script.ts'
import { fingerprintOf } from '#main/transports/ssh/known-hosts.ts'
import { never, testDir, testPool } from './setup.ts'
import { makeKey, publicKeyOf, startSshd, type Sshd } from './sshd.ts'

let gate: Sshd
let device: Sshd
beforeAll(async () => {
  gate = await startSshd()
  device = await startSshd()
})
afterAll(async () => await Promise.all([gate.stop(), device.stop()]))

const fingerprint = (key: string): string =>
  fingerprintOf(Buffer.from(publicKeyOf(key).split(' ')[1] ?? '', 'base64'))
const unknownTo = (server: Sshd): SshConnection => ({ ...server.connection, knownHostsFiles: [] })
const logins = (server: Sshd): number => server.log().split('Accepted publickey').length - 1

describe('host keys', () => {
  test('an unknown key is refused before any login, then trusted by its fingerprint, in our own file', async () => {
    const dataDir = path.join(testDir(), 'data')
    const pool = testPool({ dataDir })
    const connection = unknownTo(device)
    const before = logins(device)
    const shown = fingerprint(device.hostKey)
    await expect(pool.session('h', connection).connect(never)).rejects.toMatchObject({
      code: 'auth-failed',
      effect: 'none',
      facts: { shown: `ssh-ed25519 ${shown}` },
      advice: expect.stringContaining(`--accept-host-key ${shown}`) as string,
    })
    expect(logins(device)).toBe(before)
    const report = {
      type: 'ssh-ed25519',
      fingerprint: shown,
      state: 'unknown',
      expected: [],
      port: device.port,
    }
    expect(await pool.inspectHostKey(connection, never)).toMatchObject(report)
    await expect(pool.trustHostKey(connection, 'SHA256:other', never)).rejects.toMatchObject({
      code: 'auth-failed',
    })
    const own = path.join(dataDir, 'known_hosts')
    expect(existsSync(own)).toBe(false)
    await pool.trustHostKey(connection, shown, never)
    await pool.trustHostKey(connection, shown, never)
    expect(readFileSync(own, 'utf8').split('\n')).toHaveLength(2)
    expect(statSync(own).mode & 0o777).toBe(0o600)
    await pool.session('h', connection).run(sh`true`, { signal: never })
  })

  test('a changed key is refused with both fingerprints, and cannot be trusted over the old one', async () => {
    const dir = testDir()
    const other = makeKey(path.join(dir, 'other'))
    const file = path.join(dir, 'kh')
    writeFileSync(file, `[127.0.0.1]:${device.port} ${publicKeyOf(other)}\n`)
    const connection = { ...device.connection, knownHostsFiles: [file] }
    const pool = testPool()
    const refused = {
      code: 'auth-failed',
      facts: {
        shown: `ssh-ed25519 ${fingerprint(device.hostKey)}`,
        expected: `ssh-ed25519 ${fingerprint(other)}`,
        from: `${file} line 1`,
      },
    }
    await expect(pool.session('h', connection).connect(never)).rejects.toMatchObject(refused)
    expect(await pool.inspectHostKey(connection, never)).toMatchObject({ state: 'changed' })
    const trusting = pool.trustHostKey(connection, fingerprint(device.hostKey), never)
    await expect(trusting).rejects.toMatchObject(refused)
  })

  test('a revoked key is refused', async () => {
    const file = path.join(testDir(), 'kh')
    writeFileSync(file, `@revoked * ${publicKeyOf(device.hostKey)}\n`)
    const connection = { ...device.connection, knownHostsFiles: [file, device.knownHosts] }
    await expect(testPool().session('h', connection).connect(never)).rejects.toThrow(/revoked/)
    await expect(testPool().inspectHostKey(connection, never)).rejects.toThrow(/revoked/)
  })

  test('a host that is known by one type of key is asked for that type', async () => {
    const rsa = makeKey(path.join(testDir(), 'rsa'), 'rsa')
    const two = await startSshd({ lines: [`HostKey ${rsa}`] })
    onTestFinished(async () => await two.stop())
    const file = path.join(testDir(), 'kh')
    writeFileSync(file, `[127.0.0.1]:${two.port} ${publicKeyOf(rsa)}\n`)
    await testPool()
      .session('h', { ...two.connection, knownHostsFiles: [file] })
      .connect(never)
  })
})

describe('jump hosts', () => {
  const through = (knownHostsFiles: string[]): SshConnection => ({
    ...device.connection,
    identityFiles: [gate.clientKey, device.clientKey],
    knownHostsFiles,
    jumps: [`127.0.0.1:${gate.port}`],
  })

  test('a command goes through, each host judged under its own name', async () => {
    const before = logins(gate)
    const session = testPool().session('h', through([gate.knownHosts, device.knownHosts]))
    const { exitCode } = await session.run(sh`true`, { signal: never })
    expect(exitCode).toBe(0)
    expect(logins(gate)).toBe(before + 1)
    const wrong = testPool().session('h', through([gate.knownHosts]))
    await expect(wrong.connect(never)).rejects.toThrow(`[127.0.0.1]:${device.port} is not known`)
  })

  test('the first key that is not known is shown, then the next', async () => {
    const pool = testPool()
    const connection = through([])
    const first = await pool.inspectHostKey(connection, never)
    expect(first).toMatchObject({ port: gate.port, state: 'unknown' })
    await pool.trustHostKey(connection, first.fingerprint, never)
    const before = logins(device)
    const second = await pool.inspectHostKey(connection, never)
    expect(second).toMatchObject({ port: device.port, state: 'unknown' })
    expect(logins(device)).toBe(before)
    await pool.trustHostKey(connection, second.fingerprint, never)
    await pool.session('h', connection).run(sh`true`, { signal: never })
    expect(await pool.inspectHostKey(connection, never)).toMatchObject({ state: 'known' })
  })

  test('a proxy command of the configuration works too', async () => {
    const configFile = path.join(testDir(), 'config')
    const relay = `${process.execPath} -e "const s=require('net').connect(%p,'%h');process.stdin.pipe(s).pipe(process.stdout)"`
    writeFileSync(configFile, `Host *\n  ProxyCommand ${relay}\n`)
    await testPool()
      .session('h', { ...device.connection, configFile })
      .run(sh`true`, { signal: never })
  })
})
