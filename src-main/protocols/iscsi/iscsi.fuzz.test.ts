import { Buffer } from 'node:buffer'
import { array, assert, constantFrom, nat, property, record } from 'fast-check'
import { expect, test } from 'vitest'
import { AppError } from '#shared/errors/app-error.ts'
import { decodeAhs, encodeAhs } from './ahs.ts'
import { framePdu } from './frame.ts'
import { InitiatorLogin } from './initiator-login.ts'
import { Negotiation } from './negotiation.ts'
import { PduReader } from './pdu-reader.ts'
import { decodePdu, encodePdu, layouts } from './pdus.ts'
import type { PduKind } from './pdus.ts'
import type { OperationalWishes } from './parameters.ts'
import { TargetLogin } from './target-login.ts'
import { decodeText, encodeText, parseBinary, parseNumber } from './text.ts'

/** `GANTRY_FUZZ_RUNS=1000000 npm run test:unit -- iscsi.fuzz` for a long run. */
const runs = Number(process.env['GANTRY_FUZZ_RUNS'] ?? 20_000)
const timeout = 60_000 + runs

const mutations = array(
  record({
    at: nat(400),
    value: constantFrom(0, 1, 2, 0x2c, 0x30, 0x3d, 0x41, 0x7f, 0x80, 0xfe, 0xff),
    length: constantFrom(1, 1, 1, 2, 4, 8),
  }),
  { minLength: 1, maxLength: 6 },
)
type Mutations = readonly { at: number; value: number; length: number }[]

function mutate(whole: Uint8Array, changes: Mutations): Buffer {
  const bytes = Buffer.from(whole)
  for (const { at, value, length } of changes) {
    const start = at % Math.max(1, bytes.length)
    bytes.fill(value, start, Math.min(start + length, bytes.length))
  }
  return bytes
}

/** Anything but an answer or an AppError of the codec is a fault. */
function refusesAtMost(work: () => void): void {
  try {
    work()
  } catch (error) {
    if (!(error instanceof AppError) || error.code === 'bug') throw error
  }
}

const wishes: OperationalWishes = {
  headerDigest: ['None', 'CRC32C'],
  dataDigest: ['None', 'CRC32C'],
  maxConnections: 1,
  initialR2T: false,
  immediateData: true,
  maxRecvDataSegmentLength: 65_536,
  maxBurstLength: 262_144,
  firstBurstLength: 65_536,
  defaultTime2Wait: 2,
  defaultTime2Retain: 20,
  maxOutstandingR2T: 1,
  dataPduInOrder: true,
  dataSequenceInOrder: true,
  errorRecoveryLevel: 0,
}
const isid = Uint8Array.of(0x80, 1, 2, 3, 4, 5)
const credentials = { name: 'host', secret: 'secret of the host' }
const targetCredentials = { name: 'array', secret: 'secret of the array' }

const kinds = Object.keys(layouts) as PduKind[]
const samples = kinds.map((kind) =>
  Buffer.concat([encodePdu(kind, {}), encodeAhs([{ type: 1, specific: new Uint8Array(6) }])]),
)

test('any header and AHS is decoded or refused', { timeout }, () => {
  assert(
    property(nat(kinds.length - 1), mutations, nat(64), (kind, changes, cut) => {
      const bytes = mutate(samples[kind] ?? Buffer.alloc(0), changes)
      const header = bytes.subarray(0, cut < 48 ? cut : 48)
      refusesAtMost(() => decodePdu(header))
      refusesAtMost(() => decodeAhs(bytes.subarray(48, cut)))
    }),
    { numRuns: runs },
  )
})

const digests = { header: true, data: false }
const stream = Buffer.concat(
  kinds.flatMap((kind, index) =>
    framePdu(encodePdu(kind, {}), {
      data: Buffer.alloc(index, 0x61),
      ahs: Buffer.alloc((index % 3) * 4),
      digests,
    }),
  ),
)

test('any stream is cut into PDUs within the limits, or refused', { timeout }, () => {
  assert(
    property(
      mutations,
      nat(stream.length),
      nat(200),
      constantFrom(true, false),
      (changes, end, step, direct) => {
        const bytes = mutate(stream, changes).subarray(0, end)
        let seen = 0
        const reader = new PduReader(
          {
            onHeader(_header, _offset, _ahsBytes, dataBytes) {
              reader.into = Buffer.alloc(dataBytes)
              reader.intoOffset = 0
              return direct
            },
            onPdu(header, offset, ahsBytes, _data, dataBytes) {
              if (dataBytes > 64 || offset + 48 + ahsBytes > header.length) throw new Error('over the limit')
              seen += 48 + ahsBytes + dataBytes
            },
          },
          { maxDataBytes: 64, digests: end % 2 === 0 ? digests : { header: false, data: false } },
        )
        refusesAtMost(() => {
          for (let offset = 0; offset < bytes.length; offset += step + 1)
            reader.take(bytes.subarray(offset, offset + step + 1))
        })
        if (seen > bytes.length) throw new Error('more than came')
      },
    ),
    { numRuns: runs },
  )
})

const text = encodeText([
  ['HeaderDigest', 'CRC32C,None'],
  ['MaxRecvDataSegmentLength', '262144'],
  ['InitialR2T', 'No'],
  ['MaxBurstLength', '0x40000'],
  ['CHAP_C', '0b3q2+7w=='],
  ['X-com.example', 'value'],
])

test('any text is pairs or refused, and is negotiated or refused', { timeout }, () => {
  assert(
    property(mutations, nat(text.length), (changes, end) => {
      refusesAtMost(() => {
        const pairs = decodeText(mutate(text, changes).subarray(0, end))
        for (const [, value] of pairs) {
          const number = parseNumber(value)
          const bytes = parseBinary(value, 16)
          if ((number !== undefined && !Number.isSafeInteger(number)) || (bytes?.length ?? 0) > 16)
            throw new Error(`wrong value of ${value}`)
        }
        const asked = new Negotiation(wishes)
        asked.receive(pairs)
        const offered = new Negotiation(wishes)
        offered.offer()
        offered.receive(pairs)
        const { maxBurstLength, firstBurstLength, maxSendDataSegmentLength } = offered.result()
        if (maxBurstLength > 262_144 || firstBurstLength > maxBurstLength || maxSendDataSegmentLength < 512)
          throw new Error('beyond what was offered')
      })
    }),
    { numRuns: runs },
  )
})

test('whatever is changed in a login, no side ends wrongly authenticated', { timeout }, () => {
  assert(
    property(mutations, nat(5), constantFrom('initiator', 'target'), (changes, turn, who) => {
      const initiator = new InitiatorLogin({
        initiatorName: 'iqn.2026-11.host',
        targetName: 'iqn.2026-11.array:web',
        isid,
        cid: 0,
        cmdSn: 1,
        wishes,
        credentials: who === 'target' ? { ...credentials, secret: 'a guess' } : credentials,
        targetCredentials:
          who === 'initiator' ? { ...targetCredentials, secret: 'a guess' } : targetCredentials,
      })
      const target = new TargetLogin({
        wishes,
        statSn: 0,
        commandWindow: 8,
        admit: () => ({ portalGroupTag: 1, initiatorCredentials: credentials, targetCredentials }),
        establish: () => 1,
      })
      refusesAtMost(() => {
        let step = initiator.start()
        for (let count = 0; step.kind === 'send' && count < 30; count++) {
          const request = mutateAt(count, turn, who === 'target', step, changes)
          const answer = target.receive(request.header, request.data)
          if (who === 'target' && answer.outcome === 'established') throw new Error('the target took a guess')
          const said = mutateAt(count, turn, who === 'initiator', answer, changes)
          step = initiator.receive(said.header, said.data)
        }
        if (who === 'initiator' && step.kind === 'done') throw new Error('the initiator took a guess')
      })
    }),
    { numRuns: Math.ceil(runs / 10) },
  )
  expect.assertions(0)
})

function mutateAt(
  count: number,
  turn: number,
  applies: boolean,
  { header, data }: { readonly header: Buffer; readonly data: Buffer },
  changes: Mutations,
): { readonly header: Buffer; readonly data: Buffer } {
  if (!applies || count !== turn) return { header, data }
  const whole = mutate(Buffer.concat([header, data]), changes)
  return { header: whole.subarray(0, 48), data: whole.subarray(48) }
}
