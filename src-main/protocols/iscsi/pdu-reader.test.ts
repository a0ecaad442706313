import { Buffer } from 'node:buffer'
import { array, assert, boolean, nat, property, record, uint8Array } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { framePdu } from './frame.ts'
import type { Digests } from './frame.ts'
import { at } from './opcodes.ts'
import { PduReader } from './pdu-reader.ts'
import type { PduReceiver, ReaderLimits } from './pdu-reader.ts'
import { encodePdu } from './pdus.ts'

interface Received {
  readonly header: string
  readonly ahs: string
  readonly data: string
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Takes down what comes; with `direct`, gives its own place for each data segment. */
class Receiver implements PduReceiver {
  readonly pdus: Received[] = []
  reader: PduReader | undefined
  readonly direct: boolean
  #place = Buffer.alloc(0)

  constructor(direct: boolean) {
    this.direct = direct
  }
  onHeader(_header: Buffer, _offset: number, _ahsBytes: number, dataBytes: number): boolean {
    if (!this.direct || this.reader === undefined) return false
    this.#place = Buffer.alloc(dataBytes + 8, 0xee)
    this.reader.into = this.#place
    this.reader.intoOffset = 3
    return true
  }
  onPdu(header: Buffer, offset: number, ahsBytes: number, data: Buffer, dataBytes: number): void {
    const segment = this.direct ? this.#place.subarray(3, 3 + dataBytes) : data
    expect(segment.length).toBe(dataBytes)
    if (this.direct && dataBytes > 0) expect(hex(this.#place.subarray(3 + dataBytes))).toBe('eeeeeeeeee')
    this.pdus.push({
      header: hex(header.subarray(offset, offset + 48)),
      ahs: hex(header.subarray(offset + 48, offset + 48 + ahsBytes)),
      data: hex(segment),
    })
  }
}

function open(digests: Digests, direct = false, maxDataBytes = 1 << 20) {
  const receiver = new Receiver(direct)
  const limits: ReaderLimits = { maxDataBytes, digests }
  const reader = new PduReader(receiver, limits)
  receiver.reader = reader
  return { reader, receiver, limits }
}

/** Feeds bytes as a socket would: into the buffer that the reader asks for. */
function feed(reader: PduReader, bytes: Buffer, most: number): void {
  for (let offset = 0; offset < bytes.length;) {
    const buffer = reader.readBuffer()
    const count = Math.min(most, buffer.length, bytes.length - offset)
    bytes.copy(buffer, 0, offset, offset + count)
    reader.take(buffer, count)
    offset += count
  }
}

const digestChoices: Digests[] = [
  { header: false, data: false },
  { header: true, data: false },
  { header: false, data: true },
  { header: true, data: true },
]

const parts = [
  { data: Buffer.alloc(0), ahs: Buffer.alloc(0) },
  { data: Buffer.from('abcde'), ahs: Buffer.alloc(0) },
  { data: Buffer.from('12345678'), ahs: Buffer.alloc(8, 0x5a) },
  { data: Buffer.alloc(0), ahs: Buffer.alloc(4, 0x77) },
  { data: Buffer.from('x'), ahs: Buffer.alloc(0) },
]

const stream = (digests: Digests, list: readonly { data: Buffer; ahs: Buffer }[] = parts): Buffer =>
  Buffer.concat(
    list.flatMap(({ data, ahs }, index) =>
      framePdu(encodePdu('dataIn', { final: true, initiatorTaskTag: index, dataSn: index }), {
        data,
        ahs,
        digests,
      }),
    ),
  )

describe.each(digestChoices)('PDUs with header digest $header and data digest $data', (digests) => {
  const bytes = stream(digests)
  const expectAll = (receiver: Receiver): void => {
    expect(receiver.pdus.map(({ data, ahs }) => ({ data, ahs }))).toEqual(
      parts.map(({ data, ahs }) => ({ data: hex(data), ahs: hex(ahs) })),
    )
    expect(receiver.pdus.map(({ header }) => Buffer.from(header, 'hex').readUInt32BE(at.dataSn))).toEqual(
      parts.map((_, index) => index),
    )
  }

  test.each([false, true])('come whole, byte by byte and split at each byte (own place: %s)', (direct) => {
    for (const most of [bytes.length, 1, 2, 3, 7, 47, 48, 49]) {
      const { reader, receiver } = open(digests, direct)
      feed(reader, bytes, most)
      expectAll(receiver)
      expect(reader.isBetweenPdus).toBe(true)
    }
    for (let split = 1; split < bytes.length; split++) {
      const { reader, receiver } = open(digests, direct)
      reader.take(Buffer.from(bytes.subarray(0, split)))
      // What was read is gone with the next read.
      reader.take(Buffer.from(bytes.subarray(split)))
      expectAll(receiver)
    }
  })

  test('do not come before their last byte', () => {
    const one = stream(digests, parts.slice(2, 3))
    for (let length = 1; length < one.length; length++) {
      const { reader, receiver } = open(digests)
      reader.take(one, length)
      expect(receiver.pdus).toEqual([])
      expect(reader.isBetweenPdus).toBe(false)
    }
  })

  test('are refused with a data segment over the limit, before it is waited for', () => {
    const { reader } = open(digests, false, 4)
    expect(() => reader.take(stream(digests, parts.slice(1, 2)), 60)).toThrow('DataSegmentLength')
    const huge = encodePdu('nopOut', {})
    huge.fill(0xff, 5, 8)
    expect(() => open({ header: false, data: false }).reader.take(huge)).toThrow('DataSegmentLength')
  })
})

test('a changed bit anywhere under a digest is found', () => {
  const digests = { header: true, data: true }
  const one = stream(digests, parts.slice(1, 2))
  for (let index = 0; index < one.length; index++) {
    // A greater length has the reader wait for more: no PDU either.
    const bytes = Buffer.from(one)
    bytes[index] = (bytes[index] ?? 0) ^ 0x10
    const { reader, receiver } = open(digests)
    try {
      reader.take(bytes)
    } catch (error) {
      expect(error).toMatchObject({ code: 'device-rejected' })
    }
    expect(receiver.pdus).toEqual([])
  }
})

test('a long data segment is read where it belongs', () => {
  const data = Buffer.from(Array.from({ length: 100_001 }, (_, index) => index & 0xff))
  for (const digests of digestChoices)
    for (const most of [1 << 20, 5000, 30_000]) {
      const { reader, receiver } = open(digests, true)
      feed(reader, stream(digests, [{ data, ahs: Buffer.alloc(0) }, ...parts]), most)
      expect(receiver.pdus[0]?.data === hex(data)).toBe(true)
      expect(receiver.pdus.length).toBe(parts.length + 1)
    }
})

test('digests begin with the PDU after the one that agreed on them', () => {
  const { reader, receiver, limits } = open({ header: false, data: false })
  const first = receiver.onPdu.bind(receiver)
  receiver.onPdu = (...all) => {
    first(...all)
    limits.digests = { header: true, data: true }
  }
  const plain = stream({ header: false, data: false }, parts.slice(1, 2))
  reader.take(Buffer.concat([plain, stream({ header: true, data: true })]))
  expect(receiver.pdus.length).toBe(parts.length + 1)
})

test('any PDUs in any pieces come out as they went in', () => {
  assert(
    property(
      array(record({ data: uint8Array({ maxLength: 70 }), ahsWords: nat(3) }), { maxLength: 6 }),
      boolean(),
      boolean(),
      boolean(),
      array(nat(90), { minLength: 1 }),
      (list, header, dataDigest, direct, sizes) => {
        const digests = { header, data: dataDigest }
        const pdus = list.map(({ data, ahsWords }) => ({
          data: Buffer.from(data),
          ahs: Buffer.alloc(ahsWords * 4, ahsWords),
        }))
        const bytes = stream(digests, pdus)
        const { reader, receiver } = open(digests, direct)
        for (let offset = 0, turn = 0; offset < bytes.length; turn++) {
          const count = (sizes[turn % sizes.length] ?? 0) + 1
          feed(reader, bytes.subarray(offset, offset + count), count)
          offset += count
        }
        expect(receiver.pdus.map(({ data, ahs }) => ({ data, ahs }))).toEqual(
          pdus.map(({ data, ahs }) => ({ data: hex(data), ahs: hex(ahs) })),
        )
      },
    ),
  )
})
