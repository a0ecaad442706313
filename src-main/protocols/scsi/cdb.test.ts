import { array, assert, boolean, constantFrom, integer, property, record, uint8Array } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hexOf } from './fields.ts'
import { cdbLayouts, cdbUsage } from './cdb-layouts.ts'
import { decodeCdb, encodeCdb } from './cdb.ts'
import type { Cdb } from './cdb.ts'

const hex = (cdb: Cdb): string => hexOf(encodeCdb(cdb))

describe('a CDB', () => {
  // As the byte layouts in SPC-4 and SBC-3 have them.
  test.each<[string, Cdb]>([
    ['00', { kind: 'test-unit-ready' }],
    ['1201830400', { kind: 'inquiry', evpd: true, page: 0x83, allocationLength: 0x400 }],
    ['08123456ff', { kind: 'read', length: 6, lba: 0x123456, blocks: 255 }],
    ['0a1fffff00', { kind: 'write', length: 6, lba: 0x1fffff, blocks: 256 }],
    [
      '28180123456700abcd',
      { kind: 'read', length: 10, lba: 0x01234567, blocks: 0xabcd, dpo: true, fua: true },
    ],
    [
      '8a080001020304050607000100',
      { kind: 'write', length: 16, lba: 0x1020304050607, blocks: 0x10000, fua: true },
    ],
    ['a820ffffffff00000008', { kind: 'read', length: 12, lba: 0xffffffff, blocks: 8, protect: 1 }],
    ['890000000000000000050000000100', { kind: 'compare-and-write', lba: 5, blocks: 1 }],
    [
      '93090000000000000010000000200000',
      { kind: 'write-same', length: 16, lba: 16, blocks: 32, unmap: true, noDataOut: true },
    ],
    ['42000000000000001800', { kind: 'unmap', parameterLength: 24 }],
    ['9e10000000000000000000000020', { kind: 'read-capacity', length: 16, allocationLength: 32 }],
    ['9e12000000000000000700000018', { kind: 'get-lba-status', lba: 7, allocationLength: 24 }],
    ['5e020000000000000800', { kind: 'persistent-reserve-in', serviceAction: 2, allocationLength: 8 }],
    [
      '5f010300000000001800',
      { kind: 'persistent-reserve-out', serviceAction: 1, type: 3, parameterLength: 24 },
    ],
    ['a00000000000000010', { kind: 'report-luns', allocationLength: 0x1000 }],
    [
      '1a080800ff',
      { kind: 'mode-sense', length: 6, noBlockDescriptors: true, page: 8, allocationLength: 255 },
    ],
    [
      'a30c818800000000100',
      {
        kind: 'report-supported-opcodes',
        timeouts: true,
        reporting: 1,
        requestedOpcode: 0x88,
        allocationLength: 0x1000,
      },
    ],
  ])('%s...', (bytes, cdb) => {
    expect(hex(cdb)).toBe(bytes.padEnd(32, '0'))
    expect(decodeCdb(encodeCdb(cdb))).toMatchObject(cdb)
  })

  test('of a command or service action that is none of ours is not decoded', () => {
    for (const bytes of [[0xff], [0x9e, 0x1f], [0x5e, 0x04], [0x04]]) {
      const cdb = new Uint8Array(16)
      cdb.set(bytes)
      expect(decodeCdb(cdb)).toBeUndefined()
    }
    expect(decodeCdb(new Uint8Array(0))).toBeUndefined()
    expect(decodeCdb(Uint8Array.of(0x28, 0, 0))).toBeUndefined()
  })

  test('refuses a value that has no room in it', () => {
    for (const cdb of [
      { kind: 'read', length: 10, lba: 2 ** 32, blocks: 1 },
      { kind: 'read', length: 6, lba: 2 ** 21, blocks: 1 },
      { kind: 'write', length: 10, lba: 0, blocks: 65_536 },
      { kind: 'read', length: 16, lba: -1, blocks: 1 },
      { kind: 'inquiry', allocationLength: 65_536 },
      { kind: 'persistent-reserve-out', serviceAction: 1, type: 16, parameterLength: 24 },
    ] as const satisfies Cdb[])
      expect(() => encodeCdb(cdb)).toThrow(expect.objectContaining({ code: 'bad-request' }))
  })

  test('says what it was made from: every field of every layout, written and read back', () => {
    assert(
      property(
        constantFrom(...cdbLayouts),
        array(record({ share: integer({ min: 0, max: 1000 }), flag: boolean() }), {
          minLength: 12,
          maxLength: 12,
        }),
        (layout, picks) => {
          const cdb: Record<string, unknown> = { kind: layout.kind, length: layout.length }
          if (layout.serviceAction !== undefined) cdb['serviceAction'] = layout.serviceAction
          for (const [index, { name, bytes, mask, isFlag, zeroMeans }] of layout.fields.entries()) {
            const { share, flag } = picks[index] ?? { share: 0, flag: false }
            const limit =
              bytes === 1 ? mask / (mask & -mask) : Math.min(2 ** 50, (mask + 1) * 256 ** (bytes - 1) - 1)
            const value = Math.floor((limit * share) / 1000)
            cdb[name] = isFlag ? flag : value === 0 && zeroMeans !== undefined ? zeroMeans : value
          }
          expect(decodeCdb(encodeCdb(cdb as unknown as Cdb))).toEqual(cdb)
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('is decoded whatever its bytes are, into values that encode to the bits that count', () => {
    assert(
      property(uint8Array({ minLength: 16, maxLength: 16 }), constantFrom(...cdbLayouts), (noise, layout) => {
        noise[0] = layout.opcode
        if (layout.serviceAction !== undefined) noise[1] = ((noise[1] ?? 0) & 0xe0) | layout.serviceAction
        const cdb = decodeCdb(noise)
        if (cdb === undefined) throw new Error('not decoded')
        const usage = cdbUsage(layout)
        if ('lba' in cdb && (cdb.lba ?? 0) > Number.MAX_SAFE_INTEGER) return
        const again = encodeCdb(cdb)
        for (const [at, mask] of usage.entries())
          if (at > 0) expect((again[at] ?? 0) & mask).toBe((noise[at] ?? 0) & mask)
      }),
      { numRuns: 2000 },
    )
  })
})
