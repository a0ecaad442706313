import { assert, integer, nat, property, string, uint8Array, uuid } from 'fast-check'
import { expect, test } from 'vitest'
import { crc32c } from '../crc/crc32c.ts'
import { decodeLockRecord, encodeLockRecord } from './lock-record.ts'

const lock = {
  owner: 'kvm1.lab',
  bootId: '00112233-4455-6677-8899-aabbccddeeff',
  takenAtMs: Date.parse('2026-11-24T10:00:00Z'),
}

test('the layout of the document, byte by byte', () => {
  const bytes = Buffer.from(encodeLockRecord(lock))
  expect(bytes).toHaveLength(512)
  expect(bytes.toString('latin1', 0, 8)).toBe('GANTRYLK')
  expect(bytes.readUInt32LE(8)).toBe(1)
  expect(bytes.readUInt32LE(12)).toBe(8)
  expect(Number(bytes.readBigUInt64LE(16))).toBe(lock.takenAtMs)
  expect(bytes.toString('hex', 24, 40)).toBe('00112233445566778899aabbccddeeff')
  expect(bytes.toString('utf8', 40, 48)).toBe('kvm1.lab')
  expect(bytes.subarray(48, 508).every((byte) => byte === 0)).toBe(true)
  expect(bytes.readUInt32LE(508)).toBe(crc32c(bytes.subarray(0, 508)))
})

test('zeros are a free lock, anything cut off is damaged', () => {
  expect(decodeLockRecord(new Uint8Array(512))).toEqual({ state: 'free' })
  const bytes = encodeLockRecord(lock)
  for (let length = 0; length < 512; length++)
    expect(decodeLockRecord(bytes.subarray(0, length)).state).toBe('damaged')
})

test('every flipped bit is noticed: never another owner, never free', () => {
  const bytes = encodeLockRecord(lock)
  for (let bit = 0; bit < 512 * 8; bit++) {
    const flipped = Uint8Array.from(bytes)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    if (decodeLockRecord(flipped).state !== 'damaged') throw new Error(`bit ${bit} is not noticed`)
  }
})

test('a record that lies with a right checksum is damaged', () => {
  for (const change of [
    (bytes: Buffer) => bytes.writeUInt32LE(2, 8),
    (bytes: Buffer) => bytes.writeUInt32LE(0, 12),
    (bytes: Buffer) => bytes.writeUInt32LE(469, 12),
    (bytes: Buffer) => bytes.writeUInt32LE(0xffffffff, 12),
    (bytes: Buffer) => bytes.fill(0xff, 16, 24),
    (bytes: Buffer) => bytes.fill(0xff, 40, 48),
  ]) {
    const bytes = Buffer.from(encodeLockRecord(lock))
    change(bytes)
    bytes.writeUInt32LE(crc32c(bytes.subarray(0, 508)), 508)
    expect(decodeLockRecord(bytes).state).toBe('damaged')
  }
})

test.each([
  ['an empty name', { owner: '' }],
  ['a name too long', { owner: 'ü'.repeat(235) }],
  ['no time', { takenAtMs: Number.NaN }],
  ['no boot id', { bootId: 'x' }],
])('%s is refused', (_, changes) => {
  expect(() => encodeLockRecord({ ...lock, ...changes })).toThrow(
    expect.objectContaining({ code: 'bad-request' }),
  )
})

test('any lock is read back as it was, whatever follows it', () => {
  assert(
    property(
      string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
      uuid(),
      integer({ min: 0 }),
      nat(600),
      (owner, bootId, takenAtMs, more) => {
        if (Buffer.byteLength(owner) > 468 || !owner.isWellFormed()) return
        const bytes = Buffer.concat([encodeLockRecord({ owner, bootId, takenAtMs }), Buffer.alloc(more, 1)])
        expect(decodeLockRecord(bytes)).toEqual({ state: 'held', lock: { owner, bootId, takenAtMs } })
      },
    ),
  )
})

test('any bytes at all have a state', () => {
  assert(property(uint8Array({ maxLength: 600 }), (bytes) => void decodeLockRecord(bytes).state))
})
