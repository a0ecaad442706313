import { Buffer } from 'node:buffer'
import { assert, constantFrom, property, uint8Array } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeAhs, encodeAhs, joinCdb, splitCdb } from './ahs.ts'
import { encodeLun } from '../scsi/luns.ts'
import { ahsMaxBytes, bhsBytes, opcode } from './opcodes.ts'
import { decodePdu, decodePduOf, encodePdu, layouts } from './pdus.ts'
import type { PduKind } from './pdus.ts'
import { serialBefore, serialDistance, serialNext } from './serial.ts'

const kinds = Object.keys(layouts) as PduKind[]
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const rejected = expect.objectContaining({ code: 'device-rejected' }) as Error

describe('headers', () => {
  test('a SCSI Command has its fields where RFC 7143 section 11.3 has them', () => {
    const header = encodePdu('scsiCommand', {
      final: true,
      read: true,
      attribute: 1,
      lun: encodeLun(3),
      initiatorTaskTag: 0x11223344,
      expectedDataTransferLength: 4096,
      cmdSn: 7,
      expStatSn: 0x80000001,
      cdb: Uint8Array.from({ length: 16 }, (_, index) => 0xa0 + index),
    })
    const words = [
      '01c10000',
      '00000000',
      '00030000',
      '00000000',
      '11223344',
      '00001000',
      '00000007',
      '80000001',
    ]
    expect(hex(header)).toBe(`${words.join('')}a0a1a2a3a4a5a6a7a8a9aaabacadaeaf`)
  })

  test('a Data-In with status has its fields where section 11.7 has them', () => {
    const header = Buffer.alloc(bhsBytes)
    header.set([0x25, 0x83, 0, 0x08])
    header.writeUInt32BE(0xdead, 16)
    header.writeUInt32BE(0xffffffff, 20)
    header.writeUInt32BE(1, 24)
    header.writeUInt32BE(2, 28)
    header.writeUInt32BE(3, 32)
    header.writeUInt32BE(4, 36)
    header.writeUInt32BE(5, 40)
    header.writeUInt32BE(6, 44)
    expect(decodePdu(header)).toMatchObject({
      kind: 'dataIn',
      final: true,
      hasStatus: true,
      underflow: true,
      overflow: false,
      status: 8,
      initiatorTaskTag: 0xdead,
      targetTransferTag: 0xffffffff,
      statSn: 1,
      expCmdSn: 2,
      maxCmdSn: 3,
      dataSn: 4,
      bufferOffset: 5,
      residualCount: 6,
    })
  })

  test('a Login Response has stages, version, ISID, TSIH and status where section 11.13 has them', () => {
    const header = encodePdu('loginResponse', {
      transit: true,
      currentStage: 1,
      nextStage: 3,
      isid: Uint8Array.of(0x80, 1, 2, 3, 4, 5),
      tsih: 0x1234,
      status: 0x0201,
    })
    expect(hex(header.subarray(0, 16))).toBe('23870000000000008001020304051234')
    expect(hex(header.subarray(36, 38))).toBe('0201')
  })

  test('what always has its bit has it; a tag that is left out says "none"', () => {
    expect(hex(encodePdu('nopOut', { immediate: true }).subarray(0, 2))).toBe('4080')
    expect(encodePdu('nopOut', {}).readUInt32BE(16)).toBe(0xffffffff)
    expect(encodePdu('loginRequest', {})[0]).toBe(0x43)
    expect(decodePduOf('asyncMessage', encodePdu('asyncMessage', {})).initiatorTaskTag).toBe(0xffffffff)
  })

  test.each(kinds)('%s: what is decoded from any bytes is encoded to the same fields', (kind) => {
    assert(
      property(uint8Array({ minLength: bhsBytes, maxLength: bhsBytes }), (bytes) => {
        bytes[0] = ((bytes[0] ?? 0) & 0xc0) | opcode[kind]
        const fields = decodePduOf(kind, bytes)
        expect(decodePduOf(kind, encodePdu(kind, fields))).toEqual(fields)
      }),
      { numRuns: 50 },
    )
  })

  test('are refused when a byte is missing, or the opcode is another or none of the standard', () => {
    const header = encodePdu('nopIn', {})
    for (let length = 0; length < bhsBytes; length++)
      expect(() => decodePdu(header.subarray(0, length))).toThrow(rejected)
    expect(() => decodePduOf('reject', header)).toThrow(rejected)
    expect(() => decodePdu(Buffer.alloc(bhsBytes, 0x1c))).toThrow(rejected)
    expect(() => encodePdu('loginRequest', { currentStage: 4 })).toThrow(rejected)
  })
})

describe('additional header segments', () => {
  test('carry what a CDB has over 16 bytes', () => {
    assert(
      property(uint8Array({ minLength: 1, maxLength: 260 }), (cdb) => {
        const { cdb: head, ahs } = splitCdb(cdb)
        const joined = joinCdb(head, ahs)
        expect(hex(joined.subarray(0, cdb.length))).toBe(hex(cdb))
        expect(joined.length).toBe(Math.max(16, cdb.length))
      }),
    )
  })

  test('have their length, type and padding where section 11.2.2 has them', () => {
    expect(hex(splitCdb(Uint8Array.from({ length: 18 }, (_, index) => index)).ahs)).toBe('0003010010110000')
  })

  test('are refused with a length that reaches over their end, cut at any byte', () => {
    const whole = encodeAhs([
      { type: 1, specific: new Uint8Array(9) },
      { type: 2, specific: new Uint8Array(5) },
    ])
    for (let length = 1; length < whole.length; length++) {
      if (length === 12) continue // between the two
      expect(() => decodeAhs(whole.subarray(0, length))).toThrow(rejected)
    }
    whole.writeUInt16BE(0xffff, 0)
    expect(() => decodeAhs(whole)).toThrow(rejected)
    expect(() => encodeAhs([{ type: 1, specific: new Uint8Array(ahsMaxBytes) }])).toThrow(rejected)
  })
})

test('serial numbers are compared over their wrap', () => {
  assert(
    property(constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff), (value) => {
      expect(serialBefore(value, serialNext(value))).toBe(true)
      expect(serialBefore(serialNext(value), value)).toBe(false)
      expect(serialBefore(value, value)).toBe(false)
      expect(serialDistance(value, (value + 1000) >>> 0)).toBe(1000)
    }),
  )
})
