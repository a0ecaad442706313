import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { SshConnection } from '#shared/domain/connection.ts'
import { findRoute, type Hop, parsePlace } from './route.ts'

let homeDir: string
beforeEach(() => {
  homeDir = mkdtempSync(path.join(tmpdir(), 'gantry-route-'))
  mkdirSync(path.join(homeDir, '.ssh', 'conf.d'), { recursive: true })
})
afterEach(() => rmSync(homeDir, { recursive: true }))

const write = (name: string, text: string): void => writeFileSync(path.join(homeDir, '.ssh', name), text)
const route = async (connection: SshConnection): Promise<Hop[]> =>
  await findRoute(connection, { homeDir, env: { SSH_AUTH_SOCK: '/agent', KEYS: '/keys' } })
async function device(connection: SshConnection): Promise<Hop> {
  const hop = (await route(connection)).at(-1)
  if (hop === undefined) throw new Error('no hop')
  return hop
}

describe('the way to a device', () => {
  test('has defaults without any configuration', async () => {
    const hop = await device({ host: 'array1', user: 'root' })
    expect(hop).toMatchObject({
      label: 'root@array1',
      port: 22,
      identityFiles: undefined,
      agentSocket: '/agent',
    })
    expect(hop.knownHostsFiles).toEqual([
      path.join(homeDir, '.ssh/known_hosts'),
      path.join(homeDir, '.ssh/known_hosts2'),
      '/etc/ssh/ssh_known_hosts',
    ])
  })

  test('takes what an alias says; what the connection says wins', async () => {
    write(
      'config',
      'Host a*\n  HostName %h.lab\n  Port 2222\n  User admin\n  IdentityFile ~/k1\n  IdentityFile "${KEYS}/my key"\n' +
        '  IdentitiesOnly yes\n  HostKeyAlias rack\n  UserKnownHostsFile ~/kh\nHost *\n  Port 9\n  User nobody\n',
    )
    expect(await device({ host: 'array1' })).toMatchObject({
      label: 'admin@array1.lab:2222',
      identityFiles: [path.join(homeDir, 'k1'), '/keys/my key'],
      identitiesOnly: true,
      keyHost: 'rack',
      keyPort: 22,
      knownHostsFiles: [path.join(homeDir, 'kh'), '/etc/ssh/ssh_known_hosts'],
    })
    const own = { host: 'array1', port: 22, user: 'root', identityFiles: ['~/mine'], agent: false }
    expect(await device(own)).toMatchObject({
      label: 'root@array1.lab',
      identityFiles: [path.join(homeDir, 'mine')],
      agentSocket: undefined,
    })
    expect(await device({ host: 'other' })).toMatchObject({ label: 'nobody@other:9' })
    expect(await device({ host: 'array1', user: 'u', configFile: null })).toMatchObject({ label: 'u@array1' })
  })

  test('follows Include: relative, globs in order, under the Host that it stands under', async () => {
    write('config', 'Include conf.d/*.conf\nHost web\n  Include inner\n  Port 80\nHost *\n  User last\n')
    write('conf.d/1.conf', 'Host array1\n  User first\n')
    write('conf.d/2.conf', 'Host array1\n  User second\n  Port 23\n')
    write('inner', 'User inside\nHost array1\n  Port 99\n')
    expect(await device({ host: 'array1' })).toMatchObject({ label: 'first@array1:23' })
    expect(await device({ host: 'web' })).toMatchObject({ label: 'inside@web:80' })
    expect(await device({ host: 'else' })).toMatchObject({ label: 'last@else' })
  })

  test('refuses loops, missing named files, unknown tokens and nonsense', async () => {
    write('config', 'Include other\n')
    write('other', 'Include config\n')
    await expect(device({ host: 'a' })).rejects.toMatchObject({ code: 'bad-request' })
    await expect(device({ host: 'a', configFile: '/missing' })).rejects.toMatchObject({ code: 'not-found' })
    write('config', 'IdentityFile %k\n')
    await expect(device({ host: 'a' })).rejects.toMatchObject({ code: 'bad-request' })
    write('config', 'Port many\n')
    await expect(device({ host: 'a' })).rejects.toMatchObject({ code: 'bad-request' })
    write('config', 'Host "broken\n')
    await expect(device({ host: 'a' })).rejects.toMatchObject({ code: 'bad-request' })
  })

  test('runs nothing when it reads: no Match exec, no name look-ups', async () => {
    const mark = path.join(homeDir, 'ran')
    write('config', `CanonicalizeHostname yes\nCanonicalDomains lab\nMatch exec "touch ${mark}"\n  Port 7\n`)
    expect(await device({ host: 'a', user: 'u' })).toMatchObject({ label: 'u@a' })
    const { existsSync } = await import('node:fs')
    expect(existsSync(mark)).toBe(false)
  })

  test('goes through jump hosts, each with its own settings; the first one may have jump hosts itself', async () => {
    write(
      'config',
      'Host gate\n  User g\n  Port 2200\n  IdentityFile /gate-key\n  ProxyJump outer\nHost array1\n  ProxyJump gate,u2@10.0.0.2:24\n',
    )
    const hops = await route({ host: 'array1', user: 'root', identityFiles: ['/own-key'] })
    expect(hops.map((hop) => hop.label.replace(/^[^@]*@outer$/, 'x@outer'))).toEqual([
      'x@outer',
      'g@gate:2200',
      'u2@10.0.0.2:24',
      'root@array1',
    ])
    expect(hops[1]?.identityFiles).toEqual(['/gate-key'])
    expect(hops[2]?.identityFiles).toEqual(['/own-key'])
    const direct = await route({ host: 'array1', user: 'root', jumps: [] })
    expect(direct).toHaveLength(1)
    const own = await route({ host: 'array1', user: 'root', jumps: ['me@[2001:db8::1]:2222'] })
    expect(own.map((hop) => hop.label)).toEqual(['me@2001:db8::1:2222', 'root@array1'])
  })

  test('refuses jump hosts that lead in a circle', async () => {
    write('config', 'Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n')
    await expect(route({ host: 'a' })).rejects.toThrow(/circle/)
  })

  test('takes ProxyCommand or ProxyJump, whichever stands first', async () => {
    write(
      'config',
      'Host a\n  ProxyCommand nc %h %p\n  ProxyJump b\nHost c\n  ProxyJump b\n  ProxyCommand nc\n',
    )
    expect(await route({ host: 'a' })).toMatchObject([{ proxyCommand: 'nc a 22' }])
    expect((await route({ host: 'c' })).map((hop) => hop.proxyCommand)).toEqual([undefined, undefined])
    expect(await route({ host: 'a', jumps: [] })).toMatchObject([{ proxyCommand: undefined }])
  })

  test.each(['', '-oProxyCommand=x', 'a b', 'h:0', 'h:99999', 'u@', '@h'])(
    'refuses the jump host %j',
    (text) => {
      expect(() => parsePlace(text)).toThrow(/jump host/)
    },
  )
})
