import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  fingerprintOf,
  judgeHostKey,
  keyTypeOf,
  knownKeyTypes,
  namesHost,
  parseKnownHosts,
} from './known-hosts.ts'

/** A key blob: type name and a few bytes, each with its length before it. */
function blob(type: string, seed: number): Buffer {
  const part = (bytes: Buffer): Buffer => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return Buffer.concat([length, bytes])
  }
  return Buffer.concat([part(Buffer.from(type)), part(Buffer.alloc(32, seed))])
}
const one = blob('ssh-ed25519', 1)
const two = blob('ssh-ed25519', 2)
const rsa = blob('ssh-rsa', 3)
const line = (names: string, key: Buffer, marker = ''): string =>
  `${marker}${names} ${keyTypeOf(key)} ${key.toString('base64')} a comment\n`
const judge = (text: string, host: string, port: number, key: Buffer): string =>
  judgeHostKey(parseKnownHosts(text, 'f'), host, port, key).state

function hashed(name: string): string {
  const salt = Buffer.from('0123456789abcdefghij')
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`
}

describe('known_hosts', () => {
  test.each([
    ['array1', 'array1', true],
    ['array1', 'array12', false],
    ['a,array1,b', 'array1', true],
    ['*.lab', 'x.lab', true],
    ['*.lab', 'lab', false],
    ['array?', 'array1', true],
    ['array?', 'array', false],
    ['*,!array1', 'array1', false],
    ['!array1', 'array2', false],
    ['*a*a*a*b', `${'a'.repeat(200)}c`, false],
    ['[array1]:2222', '[array1]:2222', true],
    ['ARRAY1', 'array1', true],
    [hashed('array1'), 'array1', true],
    [hashed('array1'), 'array2', false],
    [hashed('[array1]:2222'), '[array1]:2222', true],
    ['|2|x|y', 'array1', false],
    ['|1|only', 'array1', false],
  ])('names %s and host %s: %s', (names, name, expected) => {
    expect(namesHost(names, name)).toBe(expected)
  })

  test('known, unknown, changed; host names without regard to case', () => {
    expect(judge(line('array1', one), 'Array1', 22, one)).toBe('known')
    expect(judge(line('array1', one), 'array2', 22, one)).toBe('unknown')
    expect(judge(line('array1', one), 'array1', 22, two)).toBe('changed')
    expect(judge(line('array1', one) + line('array1', two), 'array1', 22, two)).toBe('known')
  })

  test('a host with only a key of another type counts as changed, not as new', () => {
    expect(judge(line('array1', one), 'array1', 22, rsa)).toBe('changed')
  })

  test('another port: its own key counts; else the one of the host without port', () => {
    expect(judge(line('array1', one), 'array1', 2222, one)).toBe('known')
    expect(judge(line('array1', one), 'array1', 2222, two)).toBe('unknown')
    expect(judge(line('[array1]:2222', one) + line('array1', two), 'array1', 2222, two)).toBe('changed')
  })

  test('a revoked key is refused though another line knows it', () => {
    expect(judge(line('array1', one) + line('*', one, '@revoked '), 'array1', 22, one)).toBe('revoked')
    expect(judge(line('array1', one) + line('*', two, '@revoked '), 'array1', 22, one)).toBe('known')
  })

  test('an authority vouches for nobody', () => {
    const verdict = judgeHostKey(parseKnownHosts(line('*', one, '@cert-authority '), 'f'), 'array1', 22, one)
    expect(verdict).toMatchObject({ state: 'unknown', authority: { line: 1 } })
  })

  test('passes over what is no such line', () => {
    const text = `# ${line('array1', one)}\n\n@strange ${line('array1', one)}array1 1024 35 123\narray1\n  ${line('array1', one)}`
    expect(parseKnownHosts(text, 'f').map((item) => item.line)).toEqual([7])
  })

  test('tells the types of the known keys', () => {
    const known = parseKnownHosts(
      line('array1', one) + line('array1', rsa) + line('array1', two, '@revoked '),
      'f',
    )
    expect(knownKeyTypes(known, 'array1', 22)).toEqual(['ssh-ed25519', 'ssh-rsa'])
    expect(knownKeyTypes(known, 'array1', 2022)).toEqual(['ssh-ed25519', 'ssh-rsa'])
    expect(knownKeyTypes(known, 'array2', 22)).toEqual([])
  })

  test('prints fingerprints as OpenSSH does, and bears broken blobs', () => {
    expect(fingerprintOf(Buffer.from(''))).toBe('SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU')
    expect(keyTypeOf(Buffer.from([0, 0, 0, 200, 1]))).toBe('unknown')
    expect(keyTypeOf(Buffer.alloc(2))).toBe('unknown')
  })
})
