import { describe, expect, test } from 'vitest'
import { type CryptoCapabilities, probeCapabilities, selectAlgorithms } from './algorithms.ts'

const everything: CryptoCapabilities = {
  ciphers: new Set([
    'aes-128-ctr',
    'aes-192-ctr',
    'aes-256-ctr',
    'aes-128-gcm',
    'aes-256-gcm',
    'chacha20',
    'aes-128-cbc',
  ]),
  hashes: new Set(['sha1', 'sha256', 'sha512', 'md5']),
  curves: new Set(['prime256v1', 'secp384r1', 'secp521r1']),
  dhGroups: new Set(['modp2', 'modp14', 'modp15', 'modp16', 'modp17', 'modp18']),
  x25519: true,
  ed25519: true,
}
const without = (set: ReadonlySet<string>, ...names: string[]): Set<string> =>
  new Set([...set].filter((name) => !names.includes(name)))
/** As Electron's BoringSSL: no chacha20, no small groups. */
const boring: CryptoCapabilities = {
  ...everything,
  ciphers: without(everything.ciphers, 'chacha20'),
  dhGroups: without(everything.dhGroups, 'modp2'),
}

describe('selectAlgorithms', () => {
  test('offers only what the crypto library has', () => {
    expect(selectAlgorithms(everything, []).cipher).toContain('chacha20-poly1305@openssh.com')
    expect(selectAlgorithms(boring, []).cipher).not.toContain('chacha20-poly1305@openssh.com')
    expect(selectAlgorithms({ ...everything, x25519: false }, []).kex).not.toContain('curve25519-sha256')
    expect(selectAlgorithms({ ...everything, curves: new Set() }, []).serverHostKey).toEqual([
      'ssh-ed25519',
      'rsa-sha2-512',
      'rsa-sha2-256',
    ])
  })

  test('puts counter mode first, which moves the most bytes', () => {
    expect(selectAlgorithms(everything, []).cipher[0]).toBe('aes128-ctr')
  })

  test('offers weak algorithms only when they are named', () => {
    const all = JSON.stringify(selectAlgorithms(everything, []))
    expect(all).not.toMatch(/sha1|cbc|md5|"ssh-rsa"/)
    const wishes = {
      kex: '+diffie-hellman-group1-sha1',
      hostKey: '+ssh-rsa',
      cipher: 'aes128-cbc',
      mac: '^hmac-sha1',
    }
    const chosen = selectAlgorithms(everything, [], wishes)
    expect(chosen.kex.at(-1)).toBe('diffie-hellman-group1-sha1')
    expect(chosen.serverHostKey.at(-1)).toBe('ssh-rsa')
    expect(chosen.cipher).toEqual(['aes128-cbc'])
    expect(chosen.hmac[0]).toBe('hmac-sha1')
    expect(selectAlgorithms(everything, [], { mac: '-*etm*' }).hmac).toEqual([
      'hmac-sha2-256',
      'hmac-sha2-512',
    ])
  })

  test('says so when a wanted algorithm is missing here', () => {
    expect(() => selectAlgorithms(boring, [], { kex: 'diffie-hellman-group1-sha1' })).toThrow(/key exchange/)
  })

  test('asks first for host keys of the types that are known', () => {
    expect(selectAlgorithms(everything, ['ecdsa-sha2-nistp256']).serverHostKey[0]).toBe('ecdsa-sha2-nistp256')
    expect(selectAlgorithms(everything, ['ssh-rsa']).serverHostKey.slice(0, 2)).toEqual([
      'rsa-sha2-512',
      'rsa-sha2-256',
    ])
  })

  test('finds this process able to do the usual ones', () => {
    const chosen = selectAlgorithms(probeCapabilities(), [])
    expect(chosen.kex).toContain('curve25519-sha256')
    expect(chosen.cipher).toContain('aes128-ctr')
  })
})
