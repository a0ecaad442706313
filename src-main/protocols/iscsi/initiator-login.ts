import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { AppError } from '#shared/errors/app-error.ts'
import { chapAlgorithms, chapMaxBytes, chapResponse, sameBytes } from './chap.ts'
import type { ChapAlgorithm, ChapCredentials } from './chap.ts'
import { loginFailure } from './login-status.ts'
import { LoginText, operationalPairs, parseChapIdentifier } from './login-text.ts'
import { malformed } from './malformed.ts'
import { Negotiation } from './negotiation.ts'
import { loginStage, loginStatus } from './opcodes.ts'
import type { OperationalParameters, OperationalWishes } from './parameters.ts'
import { decodePduOf, encodePdu } from './pdus.ts'
import type { Pdu } from './pdus.ts'
import { serialNext } from './serial.ts'
import { formatBinary, parseBinary } from './text.ts'
import type { TextPair } from './text.ts'

export interface InitiatorLoginOptions {
  readonly initiatorName: string
  /** undefined: a discovery session. */
  readonly targetName?: string
  /** 6 bytes; kept for reinstatement of the session. */
  readonly isid: Uint8Array
  readonly cid: number
  /** The first CmdSN of the session. */
  readonly cmdSn: number
  readonly wishes: OperationalWishes
  /** What this side answers the target's challenge with. */
  readonly credentials?: ChapCredentials
  /** Default: all that are known, the strongest first. */
  readonly chapAlgorithms?: readonly ChapAlgorithm[]
  /** What the target must answer ours with; login fails without it. */
  readonly targetCredentials?: ChapCredentials
}

export type InitiatorLoginStep =
  | { readonly kind: 'send'; readonly header: Buffer; readonly data: Buffer }
  | { readonly kind: 'redirect'; readonly address: string }
  /** Log in again on a new connection with these. */
  | { readonly kind: 'again'; readonly chapAlgorithms: readonly ChapAlgorithm[] }
  | {
      readonly kind: 'done'
      readonly parameters: OperationalParameters
      readonly tsih: number
      readonly expStatSn: number
      readonly expCmdSn: number
      readonly maxCmdSn: number
    }

const mostExchanges = 24
const challengeBytes = 16
const md5: ChapAlgorithm = 5
/** Targets of the IET family (tgt among them) take this number for SHA-1, and refuse the right answer as malformed. */
const sha256: ChapAlgorithm = 7

/**
 * The initiator's side of a login (RFC 7143, section 6.3), without a socket: {@link start} and each answer give the
 * next PDU to send, until the session is there. Errors: auth-failed, not-found, busy, not-supported as the target's
 * status says (loginFailure), device-rejected for answers against the protocol. Secrets are in no error.
 */
export class InitiatorLogin {
  readonly #options: InitiatorLoginOptions
  readonly #negotiation: Negotiation
  readonly #text = new LoginText()
  #stage: number = loginStage.security
  #wantsTransit = false
  #exchanges = 0
  #expStatSn = 0
  #isAuthDone = false
  readonly #algorithms: readonly ChapAlgorithm[]
  #challenge: Buffer | undefined
  #identifier = 0
  #algorithm: ChapAlgorithm | undefined
  #hasOffered = false

  constructor(options: InitiatorLoginOptions) {
    const { credentials, targetCredentials } = options
    if (targetCredentials !== undefined && targetCredentials.secret === credentials?.secret)
      throw new AppError('bad-request', 'The CHAP secrets of the two directions are the same', {
        advice: 'Give the target and the initiator different secrets (RFC 7143, section 9.2.1).',
      })
    if (targetCredentials !== undefined && credentials === undefined)
      throw new AppError('bad-request', "The target's CHAP secret is given, but none of this initiator")
    this.#options = options
    this.#algorithms = options.chapAlgorithms ?? chapAlgorithms
    this.#negotiation = new Negotiation(options.wishes, options.targetName === undefined)
  }

  start(): InitiatorLoginStep {
    const { initiatorName, targetName, credentials, targetCredentials } = this.#options
    const methods =
      credentials === undefined ? 'None' : targetCredentials === undefined ? 'CHAP,None' : 'CHAP'
    this.#wantsTransit = credentials === undefined
    this.#text.put([
      ['InitiatorName', initiatorName],
      ...(targetName === undefined ? [] : [['TargetName', targetName] as const]),
      ['SessionType', targetName === undefined ? 'Discovery' : 'Normal'],
      ['AuthMethod', methods],
    ])
    return this.#send()
  }

  receive(header: Uint8Array, data: Uint8Array): InitiatorLoginStep {
    const response = decodePduOf('loginResponse', header)
    if (++this.#exchanges > mostExchanges)
      throw malformed('login', 0, `an end within ${mostExchanges} exchanges`, 'none')
    if (response.status === loginStatus.movedTemporarily || response.status === loginStatus.movedPermanently)
      return { kind: 'redirect', address: this.#movedTo(data) }
    if (response.status === loginStatus.initiatorError && this.#algorithm === sha256)
      return { kind: 'again', chapAlgorithms: [md5] }
    if (response.status !== loginStatus.success) throw loginFailure(response.status)
    this.#checkHeader(response)
    this.#expStatSn = serialNext(response.statSn)
    const unsent = this.#text.next()
    if (unsent !== undefined) {
      if (response.transit || data.length > 0) throw malformed('login', 1, 'an empty answer', 'text or T')
      return this.#pdu(unsent.data, unsent.continues)
    }
    const pairs = this.#text.receive(data, response.continues)
    if (pairs === undefined) {
      if (response.transit) throw malformed('login', 1, 'not C and T together', 'both')
      return this.#pdu(Buffer.alloc(0), false, false)
    }
    if (this.#stage === loginStage.security) return this.#inSecurity(new Map(pairs), pairs, response)
    return this.#inOperational(pairs, response)
  }

  #inSecurity(
    keys: ReadonlyMap<string, string>,
    pairs: readonly TextPair[],
    response: Pdu<'loginResponse'>,
  ): InitiatorLoginStep {
    const { credentials, targetCredentials } = this.#options
    // Declarations may come at any time.
    const answers = this.#negotiation.receive(operationalPairs(pairs))
    const method = keys.get('AuthMethod')
    if (method === 'None') {
      if (credentials !== undefined && targetCredentials !== undefined) throw unauthenticatedTarget()
      this.#isAuthDone = true
      if (!response.transit && !this.#wantsTransit) return this.#answer(answers, true)
    } else if (method === 'CHAP' && credentials !== undefined) {
      return this.#answer([...answers, ['CHAP_A', this.#algorithms.join(',')]], false)
    } else if (method !== undefined) {
      throw new AppError(
        'auth-failed',
        `The target wants the login method ${JSON.stringify(method.slice(0, 40))}`,
        {
          advice:
            credentials === undefined
              ? 'Give the CHAP name and secret for this target.'
              : 'Only CHAP is known.',
        },
      )
    }
    if (keys.has('CHAP_C')) return this.#answer([...answers, ...this.#answerChallenge(keys)], true)
    if (this.#challenge !== undefined && !this.#isAuthDone && (keys.has('CHAP_R') || response.transit))
      this.#checkTarget(keys)
    if (!response.transit) return this.#answer(answers, true)
    if (!this.#isAuthDone && targetCredentials !== undefined) throw unauthenticatedTarget()
    this.#stage = loginStage.operational
    return this.#answer([...answers, ...this.#offers()], true)
  }

  #answerChallenge(keys: ReadonlyMap<string, string>): TextPair[] {
    const { credentials, targetCredentials } = this.#options
    const algorithm = this.#algorithms.find((known) => String(known) === keys.get('CHAP_A'))
    if (algorithm === undefined || credentials === undefined || this.#algorithm !== undefined)
      throw malformed('key CHAP_A', 0, `one of ${this.#algorithms.join(',')}, once`, 'another')
    const challenge = parseBinary(keys.get('CHAP_C') ?? '', chapMaxBytes)
    if (challenge === undefined) throw malformed('key CHAP_C', 0, `1 to ${chapMaxBytes} bytes`, 'others')
    this.#algorithm = algorithm
    const response = chapResponse(
      algorithm,
      parseChapIdentifier(keys.get('CHAP_I')),
      credentials.secret,
      challenge,
    )
    const pairs: TextPair[] = [
      ['CHAP_N', credentials.name],
      ['CHAP_R', formatBinary(response)],
    ]
    if (targetCredentials === undefined) {
      this.#isAuthDone = true
      return pairs
    }
    this.#challenge = randomBytes(challengeBytes)
    this.#identifier = randomBytes(1)[0] ?? 0
    return [...pairs, ['CHAP_I', String(this.#identifier)], ['CHAP_C', formatBinary(this.#challenge)]]
  }

  #checkTarget(keys: ReadonlyMap<string, string>): void {
    const { targetCredentials } = this.#options
    const response = parseBinary(keys.get('CHAP_R') ?? '', chapMaxBytes)
    if (targetCredentials === undefined || this.#algorithm === undefined || this.#challenge === undefined)
      return
    const expected = chapResponse(
      this.#algorithm,
      this.#identifier,
      targetCredentials.secret,
      this.#challenge,
    )
    if (
      response === undefined ||
      !sameBytes(response, expected) ||
      keys.get('CHAP_N') !== targetCredentials.name
    )
      throw unauthenticatedTarget()
    this.#isAuthDone = true
  }

  #inOperational(pairs: readonly TextPair[], response: Pdu<'loginResponse'>): InitiatorLoginStep {
    const answers = this.#negotiation.receive(operationalPairs(pairs))
    if (!response.transit) return this.#answer([...answers, ...this.#offers()], true)
    if (answers.length > 0)
      throw malformed('login', 1, 'no T before its keys are answered', answers[0]?.[0] ?? '')
    if (response.nextStage !== loginStage.fullFeature)
      throw malformed('NSG', 1, String(loginStage.fullFeature), response.nextStage)
    if (response.tsih === 0) throw malformed('TSIH', 14, 'a session', 0)
    return {
      kind: 'done',
      parameters: this.#negotiation.result(),
      tsih: response.tsih,
      expStatSn: this.#expStatSn,
      expCmdSn: response.expCmdSn,
      maxCmdSn: response.maxCmdSn,
    }
  }

  #offers(): TextPair[] {
    if (this.#hasOffered) return []
    this.#hasOffered = true
    return this.#negotiation.offer()
  }

  #checkHeader(response: Pdu<'loginResponse'>): void {
    const { isid } = this.#options
    if (!Buffer.from(response.isid).equals(isid)) throw malformed('ISID', 8, 'that of the request', 'another')
    if (response.versionActive !== 0) throw malformed('version', 3, '0', response.versionActive)
    if (response.currentStage !== this.#stage)
      throw malformed('CSG', 1, String(this.#stage), response.currentStage)
    if (response.transit && !this.#wantsTransit)
      throw malformed('login', 1, 'no T that was not asked for', 'T')
    const next = this.#stage === loginStage.security ? loginStage.operational : loginStage.fullFeature
    if (response.transit && response.nextStage !== next)
      throw malformed('NSG', 1, String(next), response.nextStage)
  }

  #movedTo(data: Uint8Array): string {
    const address = new Map(new LoginText().receive(data, false)).get('TargetAddress')
    if (address === undefined) throw malformed('redirect', 0, 'a TargetAddress', 'none')
    return address
  }

  #answer(pairs: readonly TextPair[], wantsTransit: boolean): InitiatorLoginStep {
    this.#wantsTransit = wantsTransit
    this.#text.put(pairs)
    return this.#send()
  }

  #send(): InitiatorLoginStep {
    const piece = this.#text.next()
    return this.#pdu(piece?.data ?? Buffer.alloc(0), piece?.continues ?? false)
  }

  #pdu(data: Buffer, continues: boolean, transit = this.#wantsTransit && !continues): InitiatorLoginStep {
    const { isid, cid, cmdSn } = this.#options
    const next = this.#stage === loginStage.security ? loginStage.operational : loginStage.fullFeature
    const header = encodePdu('loginRequest', {
      transit,
      continues,
      currentStage: this.#stage,
      nextStage: transit ? next : 0,
      isid,
      cid,
      cmdSn,
      expStatSn: this.#expStatSn,
    })
    return { kind: 'send', header, data }
  }
}

function unauthenticatedTarget(): AppError {
  return new AppError('auth-failed', 'The target did not prove that it knows its CHAP secret', {
    advice:
      "Check the target's name and secret (mutual CHAP); if they are right, this may be another machine.",
  })
}
