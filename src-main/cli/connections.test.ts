import { describe, expect, test } from 'vitest'
import { knownKey } from '#test/support/fake-core.ts'
import { runGantry } from '#test/support/run-gantry.ts'
import { parseAddress } from './ssh-options.ts'
import { HiddenLine } from './terminal-question.ts'

const add = [
  'array',
  'add',
  'a1',
  '--ssh',
  'root@array1.lab',
  '--portal',
  '192.0.2.1:3260',
  '--volume',
  'v=/srv/v',
]
const unknown = { ...knownKey, state: 'unknown' } as const

test.each([
  ['host', { host: 'host' }],
  ['root@host:2222', { user: 'root', host: 'host', port: 2222 }],
  ['user@realm@host', undefined],
  ['[2001:db8::1]:22', { host: '2001:db8::1', port: 22 }],
  ['2001:db8::1', { host: '2001:db8::1' }],
  ['root@[::1]', { user: 'root', host: '::1' }],
  ['', undefined],
  ['root@', undefined],
  [':22', undefined],
])('address %j', (text, address) => {
  if (address === undefined) expect(() => parseAddress(text)).toThrow('is not an address')
  else expect(parseAddress(text)).toEqual(address)
})

test('all options of a connection reach the inventory, files as absolute paths', async () => {
  const given =
    '--identity keys/a --identity /b --jump j1,u@j2:2 --jump j3 --sudo --no-agent --ssh-config none --known-hosts /k ' +
    '--tgt-control-port 7 --lun-limit 12 --password-env PW --volume w=/srv/w'
  const run = await runGantry([...add, ...given.split(' ')], { env: { PW: 'canary' } })
  expect(run.exitCode).toBe(0)
  expect(run.inputOf('inventory.addArray')).toEqual({
    name: 'a1',
    driver: 'linux-storage',
    connection: {
      user: 'root',
      host: 'array1.lab',
      identityFiles: [`${process.cwd()}/keys/a`, '/b'],
      agent: false,
      jumps: ['j1', 'u@j2:2', 'j3'],
      sudo: true,
      configFile: null,
      knownHostsFiles: ['/k'],
      password: { from: 'env', variable: 'PW' },
    },
    settings: {
      volumes: { v: '/srv/v', w: '/srv/w' },
      portal: '192.0.2.1:3260',
      tgtControlPort: 7,
      lunLimitPerVolume: 12,
    },
  })
  expect(JSON.stringify(run.core.called) + run.out + run.err).not.toContain('canary')
})

test('U5: a secret given in place of a variable is not repeated', async () => {
  const run = await runGantry([...add, '--password-env', 'hunter2'])
  expect(run.exitCode).toBe(2)
  expect(run.err).not.toContain('hunter2')
  expect(run.calls).toEqual([])
})

describe('U5: host keys', () => {
  test('a known key needs nothing', async () => {
    expect((await runGantry(add)).calls).toEqual(['connections.inspectHostKey', 'inventory.addArray'])
  })

  test('an unknown key is shown and accepted by the person', async () => {
    const run = await runGantry(add, { hostKeys: [unknown], answers: ['yes'] })
    expect(run.exitCode).toBe(0)
    expect(run.err).toContain(
      'array1.lab shows a host key that is not known yet:\n  ssh-ed25519 SHA256:AAAAshownAAAA',
    )
    expect(run.inputOf('connections.trustHostKey')).toMatchObject({ fingerprint: 'SHA256:AAAAshownAAAA' })
  })

  test.each([
    ['the person says no', { answers: [''] }, 130, 'Not confirmed'],
    ['nobody can be asked', {}, 2, '--accept-host-key SHA256:AAAAshownAAAA'],
  ])('an unknown key is not trusted when %s', async (_why, options, exitCode, words) => {
    const run = await runGantry(add, { hostKeys: [unknown], ...options })
    expect(run.exitCode).toBe(exitCode)
    expect(run.err).toContain(words)
    expect(run.calls).toEqual(['connections.inspectHostKey'])
  })

  test('--accept-host-key accepts this key and no other, and asks nobody', async () => {
    const accept = (fingerprint: string) =>
      runGantry([...add, '--accept-host-key', fingerprint], { hostKeys: [unknown], answers: ['y'] })
    expect((await accept('SHA256:AAAAshownAAAA')).exitCode).toBe(0)
    const other = await accept('SHA256:other')
    expect(other.exitCode).toBe(6)
    expect(other.io.questions).toEqual([])
    expect(other.err).toMatch(/shown: ssh-ed25519 SHA256:AAAAshownAAAA[^]*accepted: SHA256:other/)
    expect(other.calls).toEqual(['connections.inspectHostKey'])
  })

  test('a changed key is refused with both fingerprints, also when it is accepted by option', async () => {
    const changed = { ...knownKey, state: 'changed' as const, expected: ['SHA256:old'] }
    const run = await runGantry([...add, '--accept-host-key', knownKey.fingerprint], {
      hostKeys: [changed],
      answers: ['y'],
    })
    expect(run.exitCode).toBe(6)
    expect(run.err).toMatch(/shown: ssh-ed25519 SHA256:AAAAshownAAAA[^]*expected: SHA256:old/)
    expect(run.calls).toEqual(['connections.inspectHostKey'])
  })

  test('every hop is asked for on its own', async () => {
    const hop = { ...unknown, host: 'gate', fingerprint: 'SHA256:gate' }
    const run = await runGantry([...add, '--jump', 'gate'], { hostKeys: [hop, unknown], answers: ['y', 'y'] })
    expect(run.exitCode).toBe(0)
    expect(run.io.questions).toHaveLength(2)
    expect(run.err).toMatch(/gate shows[^]*array1\.lab shows/)
  })
})

test('hidden input: line end, backspace, clear, end of input, Ctrl-C', () => {
  const typed = (...chunks: string[]): [string, string] => {
    const line = new HiddenLine()
    const states = chunks.map((chunk) => line.add(chunk))
    return [states.at(-1) ?? '', line.text]
  }
  expect(typed('pä', 'x\u007f', 'ß😀\u007f\r')).toEqual(['answer', 'päß'])
  expect(typed('wrong\u0015right\n')).toEqual(['answer', 'right'])
  expect(typed('\u0004')).toEqual(['ended', ''])
  expect(typed('a\u0004', '\u0003')).toEqual(['interrupted', 'a'])
})
