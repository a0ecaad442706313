import { Buffer } from 'node:buffer'
import { describe, expect, test, vi } from 'vitest'
import { chapAlgorithms, chapResponse } from './chap.ts'
import { InitiatorLogin } from './initiator-login.ts'
import type { InitiatorLoginOptions, InitiatorLoginStep } from './initiator-login.ts'
import { Negotiation } from './negotiation.ts'
import { loginStatus } from './opcodes.ts'
import type { OperationalWishes } from './parameters.ts'
import { decodePduOf, encodePdu } from './pdus.ts'
import { TargetLogin } from './target-login.ts'
import type { Admission, TargetLoginOptions } from './target-login.ts'
import { decodeText, encodeText, parseBinary, parseNumber, splitText, TextCollector } from './text.ts'

const wishes: OperationalWishes = {
  headerDigest: ['CRC32C', 'None'],
  dataDigest: ['None', 'CRC32C'],
  maxConnections: 1,
  initialR2T: false,
  immediateData: true,
  maxRecvDataSegmentLength: 262_144,
  maxBurstLength: 16_776_192,
  firstBurstLength: 262_144,
  defaultTime2Wait: 2,
  defaultTime2Retain: 20,
  maxOutstandingR2T: 4,
  dataPduInOrder: true,
  dataSequenceInOrder: true,
  errorRecoveryLevel: 0,
}
const targetWishes: OperationalWishes = {
  ...wishes,
  dataDigest: ['CRC32C', 'None'],
  maxRecvDataSegmentLength: 65_536,
  maxBurstLength: 1_048_576,
  maxOutstandingR2T: 1,
  errorRecoveryLevel: 2,
}
const host = { name: 'iqn.2026-11.host', secret: 'a secret of the host' }
const array = { name: 'iqn.2026-11.array', secret: 'a secret of the array' }
const isid = Uint8Array.of(0x80, 1, 2, 3, 4, 5)

const initiator = (options: Partial<InitiatorLoginOptions> = {}): InitiatorLogin =>
  new InitiatorLogin({
    initiatorName: 'iqn.2026-11.host',
    targetName: 'iqn.2026-11.array:web',
    isid,
    cid: 0,
    cmdSn: 5,
    wishes,
    ...options,
  })

const target = (admission: Partial<Admission> = {}, options: Partial<TargetLoginOptions> = {}): TargetLogin =>
  new TargetLogin({
    wishes: targetWishes,
    statSn: 0xffffffff,
    commandWindow: 32,
    admit: () => ({ portalGroupTag: 1, ...admission }),
    establish: () => 77,
    ...options,
  })

/** Both sides talk until one is done or throws. `between` may change what the target says. */
function talk(
  from: InitiatorLogin,
  to: TargetLogin,
  between: (header: Buffer, data: Buffer) => Buffer = (_, data) => data,
): Exclude<InitiatorLoginStep, { kind: 'send' }> {
  let step = from.start()
  for (let turn = 0; turn < 40; turn++) {
    if (step.kind !== 'send') return step
    expect(step.data.length).toBeLessThanOrEqual(8192)
    const answer = to.receive(step.header, step.data)
    step = from.receive(answer.header, between(answer.header, answer.data))
  }
  throw new Error('no end')
}

describe('a login', () => {
  test('agrees on what each key says, and on the numbers of the session', () => {
    const claims: unknown[] = []
    const other = target({}, { establish: (claim) => claims.push(claim) })
    const step = talk(initiator(), other)
    expect(step).toMatchObject({
      kind: 'done',
      tsih: 1,
      expStatSn: other.statSn,
      expCmdSn: 5,
      maxCmdSn: 36,
      parameters: {
        headerDigest: true,
        dataDigest: false,
        initialR2T: false,
        immediateData: true,
        maxRecvDataSegmentLength: 262_144,
        maxSendDataSegmentLength: 65_536,
        maxBurstLength: 1_048_576,
        firstBurstLength: 262_144,
        maxOutstandingR2T: 1,
        errorRecoveryLevel: 0,
      },
    })
    if (step.kind !== 'done') return
    expect(other.parameters).toEqual({
      ...step.parameters,
      maxRecvDataSegmentLength: 65_536,
      maxSendDataSegmentLength: 262_144,
    })
    expect(claims).toEqual([
      {
        initiatorName: 'iqn.2026-11.host',
        targetName: 'iqn.2026-11.array:web',
        isid: expect.anything() as unknown,
        tsih: 0,
        cid: 0,
      },
    ])
  })

  test('for discovery names no target and agrees on fewer keys', () => {
    const other = target()
    const { targetName, ...discovery } = { targetName: undefined }
    expect(targetName).toBeUndefined()
    const step = talk(
      new InitiatorLogin({ initiatorName: 'iqn.2026-11.host', isid, cid: 0, cmdSn: 1, wishes, ...discovery }),
      other,
    )
    expect(step.kind).toBe('done')
    expect(other.claim?.targetName).toBeUndefined()
  })

  test.each(chapAlgorithms)('proves the initiator, and the target when asked, by CHAP %i', (algorithm) => {
    const other = target({ initiatorCredentials: host, targetCredentials: array })
    const from = initiator({ credentials: host, targetCredentials: array })
    let step = from.start()
    const said: string[] = []
    for (let turn = 0; step.kind === 'send' && turn < 9; turn++) {
      // The initiator offers all that it knows; this target chooses.
      const data = Buffer.from(step.data.toString().replace(/CHAP_A=[^\0]*/, `CHAP_A=${algorithm}`))
      const answer = other.receive(step.header, data)
      said.push(answer.data.toString())
      step = from.receive(answer.header, answer.data)
    }
    expect(step.kind).toBe('done')
    expect(said.join()).toContain(`CHAP_A=${algorithm}`)
    expect(said.join()).toContain('CHAP_R=')
  })

  test('needs no CHAP where the target asks for none', () => {
    expect(talk(initiator({ credentials: host }), target()).kind).toBe('done')
  })

  test.each([
    ['a wrong secret', { credentials: { ...host, secret: 'another secret' } }, {}],
    ['another name', { credentials: { ...host, name: 'somebody' } }, {}],
    ['no secret', {}, {}],
    [
      'a wrong secret of the target',
      { credentials: host, targetCredentials: array },
      { secret: 'no secret at all' },
    ],
    ['another name of the target', { credentials: host, targetCredentials: array }, { name: 'iqn.other' }],
  ])('fails with %s', (_, options, theirs) => {
    const other = target({ initiatorCredentials: host, targetCredentials: { ...array, ...theirs } })
    expect(() => talk(initiator(options), other)).toThrow(
      expect.objectContaining({ code: 'auth-failed', effect: 'none' }),
    )
  })

  test('fails when a target that must prove itself asks for no proof or leaves its own out', () => {
    const both = { credentials: host, targetCredentials: array }
    expect(() => talk(initiator(both), target())).toThrow(expect.objectContaining({ code: 'auth-failed' }))
    const other = target({ initiatorCredentials: host, targetCredentials: array })
    const without = (_: Buffer, data: Buffer): Buffer =>
      Buffer.from(data.toString().replace(/CHAP_N=[^\0]*\0CHAP_R=[^\0]*\0/, ''))
    expect(() => talk(initiator(both), other, without)).toThrow(
      expect.objectContaining({ code: 'auth-failed' }),
    )
  })

  test('refuses a challenge of its own that comes back', () => {
    const other = target({ initiatorCredentials: host, targetCredentials: array })
    const from = initiator({ credentials: host, targetCredentials: array })
    let step = from.start()
    let challenge = ''
    for (let turn = 0; step.kind === 'send' && turn < 9; turn++) {
      const text = step.data.toString().replace(/CHAP_C=[^\0]*/, `CHAP_C=${challenge}`)
      const answer = other.receive(step.header, Buffer.from(text))
      challenge = /CHAP_C=([^\0]*)/.exec(answer.data.toString())?.[1] ?? challenge
      if (answer.outcome === 'refused') {
        expect(decodePduOf('loginResponse', answer.header).status).toBe(loginStatus.authenticationFailed)
        return
      }
      step = from.receive(answer.header, answer.data)
    }
    expect.unreachable()
  })

  test('begins again with MD5 where a target takes 7 for SHA-1, as tgt does', () => {
    const other = target({ initiatorCredentials: host, targetCredentials: array })
    const from = initiator({ credentials: host, chapAlgorithms: [7, 5] })
    let step = from.start()
    while (step.kind === 'send') {
      const answer = other.receive(step.header, step.data)
      if (step.data.includes('CHAP_R=')) answer.header.writeUInt16BE(loginStatus.initiatorError, 36)
      step = from.receive(answer.header, answer.data)
    }
    expect(step).toEqual({ kind: 'again', chapAlgorithms: [5] })
    const again = initiator({ credentials: host, chapAlgorithms: [5] })
    expect(talk(again, target({ initiatorCredentials: host })).kind).toBe('done')
  })

  test('does not take the same secret for both directions', () => {
    expect(() =>
      initiator({ credentials: host, targetCredentials: { ...array, secret: host.secret } }),
    ).toThrow(expect.objectContaining({ code: 'bad-request' }))
  })

  test.each([
    [loginStatus.authenticationFailed, 'auth-failed'],
    [loginStatus.forbidden, 'auth-failed'],
    [loginStatus.notFound, 'not-found'],
    [loginStatus.serviceUnavailable, 'busy'],
    [loginStatus.unsupportedVersion, 'not-supported'],
    [0x02ff, 'device-rejected'],
  ])('that ends with status %i is %s', (refusal, code) => {
    expect(() => talk(initiator(), target({}, { admit: () => ({ refusal }) }))).toThrow(
      expect.objectContaining({ code }),
    )
  })

  test('follows the target to another address', () => {
    const admit = (): Admission => ({ refusal: loginStatus.movedTemporarily, address: '10.0.0.2:3260,1' })
    expect(talk(initiator(), target({}, { admit }))).toEqual({ kind: 'redirect', address: '10.0.0.2:3260,1' })
  })

  test('puts the text of several PDUs together, split at any byte', () => {
    const from = initiator()
    const first = from.start()
    if (first.kind !== 'send') return
    const whole = target().receive(first.header, first.data)
    for (let split = 1; split < first.data.length; split++) {
      const to = target()
      const begin = Buffer.from(first.header)
      begin[1] = ((begin[1] ?? 0) & ~0x83) | 0x40
      const empty = to.receive(begin, first.data.subarray(0, split))
      expect(empty).toMatchObject({ outcome: 'continue', data: Buffer.alloc(0) })
      const answer = to.receive(first.header, first.data.subarray(split))
      expect(answer.data.toString()).toBe(whole.data.toString())
      expect(decodePduOf('loginResponse', answer.header).transit).toBe(true)
    }
    const part = encodePdu('loginResponse', {
      ...decodePduOf('loginResponse', whole.header),
      transit: false,
      continues: true,
      nextStage: 0,
    })
    const more = from.receive(part, whole.data.subarray(0, 9))
    expect(more).toMatchObject({ kind: 'send', data: Buffer.alloc(0) })
    expect(from.receive(whole.header, whole.data.subarray(9)).kind).toBe('send')
  })

  test('cuts text that is longer than a data segment', () => {
    const alias = 'x'.repeat(20_000)
    const other = target({ targetAlias: alias })
    const spy = vi.fn((_: Buffer, data: Buffer) => data)
    expect(talk(initiator(), other, spy).kind).toBe('done')
    expect(spy.mock.calls.map(([, data]) => data.toString()).join('')).toContain(`TargetAlias=${alias}`)
    for (const [, data] of spy.mock.calls) expect(data.length).toBeLessThanOrEqual(8192)
  })

  test('does not go on for ever', () => {
    const from = initiator()
    const answer = encodePdu('loginResponse', { isid })
    from.start()
    expect(() => {
      for (let turn = 0; turn < 100; turn++) from.receive(answer, Buffer.alloc(0))
    }).toThrow(expect.objectContaining({ code: 'device-rejected' }))
  })

  test.each([
    ['another ISID', { isid: Uint8Array.of(9, 9, 9, 9, 9, 9) }],
    ['another version', { versionActive: 1 }],
    ['another stage', { currentStage: 1 }],
    ['a step over a stage', { transit: true, nextStage: 3 }],
  ])('does not take an answer with %s', (_, wrong) => {
    const from = initiator()
    from.start()
    const answer = encodePdu('loginResponse', { isid, ...wrong })
    expect(() => from.receive(answer, encodeText([['AuthMethod', 'None']]))).toThrow(
      expect.objectContaining({ code: 'device-rejected' }),
    )
  })
})

describe('negotiation', () => {
  test('answers every key: unknown, irrelevant, out of range and obsolete ones', () => {
    const discovery = new Negotiation(targetWishes, true)
    expect(
      discovery.receive([
        ['X-com.example.key', '1'],
        ['InitialR2T', 'Yes'],
        ['DefaultTime2Wait', '5'],
      ]),
    ).toEqual([
      ['X-com.example.key', 'NotUnderstood'],
      ['InitialR2T', 'Irrelevant'],
      ['DefaultTime2Wait', '5'],
    ])
    expect(
      new Negotiation(targetWishes).receive([
        ['MaxBurstLength', '12'],
        ['HeaderDigest', 'CRC16'],
        ['OFMarker', 'Yes'],
        ['OFMarkInt', '2048~4096'],
        ['DataDigest', 'None,CRC32C'],
        ['FirstBurstLength', '0x20000'],
      ]),
    ).toEqual([
      ['MaxBurstLength', 'Reject'],
      ['HeaderDigest', 'Reject'],
      ['OFMarker', 'No'],
      ['OFMarkInt', 'Reject'],
      ['DataDigest', 'None'],
      ['FirstBurstLength', '131072'],
    ])
  })

  test.each([
    ['an answer beyond the offer', [['MaxBurstLength', '16777215']]],
    ['an answer that the rule does not give', [['ImmediateData', 'Maybe']]],
    ['a digest that was not offered', [['HeaderDigest', 'CRC16']]],
    [
      'a key twice',
      [
        ['MaxBurstLength', '512'],
        ['MaxBurstLength', '512'],
      ],
    ],
    ['a length that no PDU can have', [['MaxRecvDataSegmentLength', '16777216']]],
  ] as [string, [string, string][]][])('refuses %s', (_, pairs) => {
    const negotiation = new Negotiation(wishes)
    negotiation.offer()
    expect(() => negotiation.receive(pairs)).toThrow(expect.objectContaining({ code: 'device-rejected' }))
  })

  test('keeps the default for what the other side rejects, and the first burst within a burst', () => {
    const negotiation = new Negotiation({ ...wishes, maxBurstLength: 4096 })
    negotiation.offer()
    negotiation.receive([
      ['MaxBurstLength', '1024'],
      ['FirstBurstLength', '2048'],
      ['HeaderDigest', 'Reject'],
      ['InitialR2T', 'NotUnderstood'],
    ])
    expect(negotiation.isSettled).toBe(false)
    expect(negotiation.result()).toMatchObject({
      maxBurstLength: 1024,
      firstBurstLength: 1024,
      headerDigest: false,
      initialR2T: true,
    })
  })
})

describe('text', () => {
  test('is pairs of key and value, each ended by a zero byte', () => {
    const pairs: [string, string][] = [
      ['TargetName', 'iqn.2026-11.array:web'],
      ['X-com.example', 'a=b'],
      ['TargetAlias', 'Käse'],
    ]
    expect(decodeText(encodeText(pairs))).toEqual(pairs)
  })

  test.each(['TargetName', 'TargetName=x', '=x\0', 'x=y\0', `${'K'.repeat(64)}=1\0`, 'Key=\u0001\0'])(
    'refuses %j',
    (text) => {
      expect(() => decodeText(Buffer.from(text))).toThrow(
        expect.objectContaining({ code: 'device-rejected' }),
      )
    },
  )

  test('over several PDUs has a limit', () => {
    const collector = new TextCollector(10)
    expect(collector.add(Buffer.from('Key='), true)).toBeUndefined()
    expect(collector.add(Buffer.from('abc\0'), false)).toEqual([['Key', 'abc']])
    collector.add(Buffer.alloc(10), true)
    expect(() => collector.add(Buffer.alloc(1), true)).toThrow(
      expect.objectContaining({ code: 'device-rejected' }),
    )
    expect(splitText(Buffer.from('abcdefg'), 3).map(String)).toEqual(['abc', 'def', 'g'])
  })

  test('has numbers and binary values in two notations each', () => {
    expect(['0', '17', '0x1F', '-1', '1e3', '0x', ' 1', '99999999999999999999'].map(parseNumber)).toEqual([
      0,
      17,
      31,
      ...Array<undefined>(5).fill(undefined),
    ])
    expect(parseBinary('0xabc', 8)).toEqual(Buffer.from([0x0a, 0xbc]))
    expect(parseBinary('0bq80=', 8)).toEqual(Buffer.from([0xab, 0xcd]))
    for (const wrong of ['', '0x', '0b', 'abcd', `0x${'00'.repeat(9)}`, '0b====', `0b${'A'.repeat(16)}`])
      expect(parseBinary(wrong, 8)).toBeUndefined()
  })
})

const md5OfExample = 'af4bf0bf4ada8fae1b7b92274b36c4b1'

test('a CHAP response is the hash of identifier, secret and challenge', () => {
  // printf '\x01secret-secretABCD' | md5sum
  expect(chapResponse(5, 1, 'secret-secret', Buffer.from('ABCD')).toString('hex')).toBe(md5OfExample)
})
