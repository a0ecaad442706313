import { array, assert, constantFrom, nat, property, record } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatAll, scsiSamples } from '#test/support/scsi-samples.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { decodeCapacity10 } from './capacity.ts'
import { bytesOfHex, hexOf } from './fields.ts'
import { decodeLun, encodeLun } from './luns.ts'
import { decodeModeData } from './mode.ts'
import { decodeUnmapList } from './provisioning.ts'
import { decodeSense, encodeDescriptorSense, encodeFixedSense, formatSense, senses } from './sense.ts'

/** `GANTRY_FUZZ_RUNS=1000000 npm run test:unit -- scsi.test` for a long run. */
const runs = Number(process.env['GANTRY_FUZZ_RUNS'] ?? 20_000)

/** What a decoder makes of bytes: a value, or our own error; anything else is thrown. */
function outcome(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): string {
  try {
    return (
      JSON.stringify(decode(bytes), (_, value: unknown) =>
        typeof value === 'bigint' ? String(value) : value,
      ) ?? ''
    )
  } catch (error) {
    if (error instanceof AppError && error.code !== 'bug') return error.code
    throw error
  }
}

describe.each(scsiSamples)('$name', ({ value, bytes, decode }) => {
  test('decodes to what it was made from', () => {
    expect(decode(bytes)).toEqual(value)
  })

  test('cut off at any byte is read as far as it goes, or refused', () => {
    const behind = new Uint8Array(bytes.length + 64).fill(0xa5)
    for (let length = 0; length < bytes.length; length++) {
      const alone = outcome(decode, bytes.slice(0, length))
      behind.set(bytes.subarray(0, length))
      // What lies behind it in the same buffer is none of its bytes.
      expect(outcome(decode, behind.subarray(0, length))).toBe(alone)
    }
  })

  test('with any field too large is read as far as it goes, or refused', () => {
    for (let at = 0; at < bytes.length; at++)
      for (const length of [1, 2, 4]) {
        const broken = Uint8Array.from(bytes)
        broken.fill(0xff, at, at + length)
        outcome(decode, broken)
      }
  })
})

test('no bytes crash a decoder or make it read beyond them', { timeout: 60_000 + runs }, () => {
  const mutation = record({
    at: nat(),
    value: constantFrom(0, 1, 2, 0x7f, 0x80, 0xff),
    length: constantFrom(1, 1, 2, 4, 8),
  })
  const input = record({
    sample: constantFrom(...scsiSamples),
    decoder: constantFrom(...scsiSamples),
    mutations: array(mutation, { minLength: 1, maxLength: 5 }),
    length: nat(200),
  })
  assert(
    property(input, ({ sample, decoder, mutations, length }) => {
      const bytes = Uint8Array.from(sample.bytes)
      for (const { at, value, length: size } of mutations) {
        const start = at % (bytes.length + 1)
        bytes.fill(value, start, start + size)
      }
      const cut = bytes.slice(0, length)
      const behind = new Uint8Array(cut.length + 64).fill(0xa5)
      behind.set(cut)
      const alone = outcome(decoder.decode, cut)
      if (outcome(decoder.decode, behind.subarray(0, cut.length)) !== alone)
        throw new Error('read beyond its bytes')
    }),
    { numRuns: runs },
  )
})

describe('sense data', () => {
  // As a target sends it: tgtd after READ(10) beyond the end; the kernel's target after UNMAP of a reserved LUN.
  test('in the fixed format is read', () => {
    expect(decodeSense(bytesOfHex('70000500000000 0a00000000 2100000000 00'.replaceAll(' ', '')))).toEqual(
      senses.lbaOutOfRange,
    )
  })

  test('with an information of 64 bits has it in the descriptor format only', () => {
    const sense = { ...senses.miscompare, information: 0x1_0000_0000n }
    expect(decodeSense(encodeDescriptorSense(sense))).toEqual(sense)
    expect(decodeSense(encodeFixedSense(sense))).toEqual(senses.miscompare)
  })

  test('has a name where both sides know it', () => {
    expect(formatSense(senses.spaceAllocationFailed)).toBe('7h 27h/07h spaceAllocationFailed')
    expect(formatSense({ key: 4, asc: 0x80, ascq: 1 })).toBe('4h 80h/01h')
  })
})

describe('a LUN', () => {
  test.each([
    [0, '0000000000000000'],
    [1, '0001000000000000'],
    [255, '00ff000000000000'],
    [256, '4100000000000000'],
    [16_383, '7fff000000000000'],
  ])('%i is %s', (lun, bytes) => {
    expect(hexOf(encodeLun(lun))).toBe(bytes)
    expect(decodeLun(bytesOfHex(bytes))).toBe(lun)
  })

  test('may come in flat and extended addressing', () => {
    expect(decodeLun(bytesOfHex('4001000000000000'))).toBe(1)
    expect(decodeLun(bytesOfHex('d201000000000000'))).toBe(65_536)
  })

  test.each(['0101000000000000', '0001000100000000', 'c101000000000000', '8001000000000000'])(
    '%s, behind a bus or well known, is no number',
    (bytes) => {
      expect(decodeLun(bytesOfHex(bytes))).toBeUndefined()
    },
  )
})

test('a capacity of ffffffffh says that more than 32 bits are needed', () => {
  expect(decodeCapacity10(bytesOfHex('ffffffff00000200'))).toEqual({ blockBytes: 512 })
})

test.each([
  ['a total that is longer than the list', '00170000', 16],
  ['extents that are longer than the total', '00160020', 40],
  ['extents that are no whole number', '001e0011', 40],
])('an UNMAP list with %s is refused', (_, start, length) => {
  const bytes = new Uint8Array(length)
  bytes.set(bytesOfHex(start))
  expect(() => decodeUnmapList(bytes)).toThrow(expect.objectContaining({ code: 'device-rejected' }))
})

test('a MODE SELECT list is refused when a page is cut off, MODE SENSE data is not', () => {
  const bytes = bytesOfHex('0f0000000a0a0400')
  expect(decodeModeData(6, bytes).pages).toEqual([])
  expect(() => decodeModeData(6, bytes, true)).toThrow(expect.objectContaining({ code: 'device-rejected' }))
})

test('designators have names for people', () => {
  const sample = scsiSamples.find(({ name }) => name === 'VPD 83h')
  expect(formatAll(sample?.bytes ?? new Uint8Array(0))).toEqual([
    'naa.60267610123456789abcdef012345670',
    't10.GANTRY  0123456789abcdef',
    'iqn.2026-11.gantry.array:web',
    'relative-port 1',
    'port-group 1',
  ])
})
