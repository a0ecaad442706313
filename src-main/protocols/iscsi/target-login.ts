import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { chapMaxBytes, chapResponse, chooseAlgorithm, sameBytes } from './chap.ts'
import type { ChapAlgorithm, ChapCredentials } from './chap.ts'
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

/** Who asks for what; from the first request. */
export interface LoginClaim {
  readonly initiatorName: string
  /** undefined: a discovery session. */
  readonly targetName: string | undefined
  readonly isid: Uint8Array
  /** 0: a new session, or one that takes the place of an older one of the same name and ISID. */
  readonly tsih: number
  readonly cid: number
}

/** What the target's side says to a claim: a status that refuses (loginStatus), or by what it is admitted. */
export type Admission =
  | { readonly refusal: number; readonly address?: string }
  | {
      /** What the initiator must prove; undefined: nothing. */
      readonly initiatorCredentials?: ChapCredentials
      /** What the target proves when asked. */
      readonly targetCredentials?: ChapCredentials
      readonly portalGroupTag: number
      readonly targetAlias?: string
    }

export interface TargetLoginOptions {
  readonly wishes: OperationalWishes
  readonly statSn: number
  /** How many commands may be under way: MaxCmdSN is this far ahead. */
  readonly commandWindow: number
  /** Called once, for the first request. */
  readonly admit: (claim: LoginClaim) => Admission
  /** Called when all is agreed, for the session handle of the last answer. */
  readonly establish: (claim: LoginClaim) => number
}

export interface TargetLoginAnswer {
  readonly header: Buffer
  readonly data: Buffer
  /** `refused`: close the connection after this answer. */
  readonly outcome: 'continue' | 'refused' | 'established'
}

const mostExchanges = 24
const challengeBytes = 16

/**
 * The target's side of a login (RFC 7143, section 6.3), without a socket: each request gives the answer to send.
 * What the protocol does not allow in a PDU that can still be answered is answered with a status; device-rejected is
 * thrown for what can't (close the connection then).
 */
export class TargetLogin {
  readonly #options: TargetLoginOptions
  readonly #text = new LoginText()
  #negotiation: Negotiation | undefined
  #claim: LoginClaim | undefined
  #admission: Exclude<Admission, { readonly refusal: number }> | undefined
  #stage: number | undefined
  #exchanges = 0
  #statSn: number
  #isAuthDone = false
  #algorithm: ChapAlgorithm | undefined
  #challenge = Buffer.alloc(0)
  #identifier = 0
  #cmdSn = 0

  constructor(options: TargetLoginOptions) {
    this.#options = options
    this.#statSn = options.statSn
  }

  /** Known after the first request. */
  get claim(): LoginClaim | undefined {
    return this.#claim
  }
  /** Of the established session. */
  get parameters(): OperationalParameters {
    if (this.#negotiation === undefined) throw malformed('login', 0, 'an established session', 'none')
    return this.#negotiation.result()
  }
  /** The StatSN of the next PDU of the session, and the CmdSN that it expects next. */
  get statSn(): number {
    return this.#statSn
  }
  get expCmdSn(): number {
    return this.#cmdSn
  }

  receive(header: Uint8Array, data: Uint8Array): TargetLoginAnswer {
    const request = decodePduOf('loginRequest', header)
    this.#cmdSn = request.cmdSn
    if (++this.#exchanges > mostExchanges) return this.#refuse(request, loginStatus.initiatorError)
    if (request.versionMin > 0) return this.#refuse(request, loginStatus.unsupportedVersion)
    if (request.transit && request.continues) return this.#refuse(request, loginStatus.invalidDuringLogin)
    const unsent = this.#text.next()
    if (unsent !== undefined) return this.#answer(request, unsent.data, unsent.continues, false)
    const pairs = this.#text.receive(data, request.continues)
    if (pairs === undefined) return this.#answer(request, Buffer.alloc(0), false, false)
    const keys = new Map(pairs)
    const said: TextPair[] = []
    if (this.#claim === undefined) {
      const refusal = this.#begin(request, keys, said)
      if (refusal !== undefined) return refusal
    }
    if (!this.#isInStage(request)) return this.#refuse(request, loginStatus.invalidDuringLogin)
    if (request.currentStage === loginStage.security) {
      const failure = this.#authenticate(keys, said)
      if (failure !== undefined) return this.#refuse(request, failure)
    } else if (!this.#isAuthDone) return this.#refuse(request, loginStatus.authenticationFailed)
    return this.#conclude(request, pairs, said)
  }

  #begin(
    request: Pdu<'loginRequest'>,
    keys: ReadonlyMap<string, string>,
    said: TextPair[],
  ): TargetLoginAnswer | undefined {
    const initiatorName = keys.get('InitiatorName')
    const targetName = keys.get('TargetName')
    const sessionType = keys.get('SessionType') ?? 'Normal'
    const isDiscovery = sessionType === 'Discovery'
    if (!isDiscovery && sessionType !== 'Normal')
      return this.#refuse(request, loginStatus.sessionTypeNotSupported)
    if (initiatorName === undefined || (!isDiscovery && targetName === undefined))
      return this.#refuse(request, loginStatus.missingParameter)
    const { isid, tsih, cid } = request
    this.#claim = { initiatorName, targetName: isDiscovery ? undefined : targetName, isid, tsih, cid }
    const admission = this.#options.admit(this.#claim)
    if ('refusal' in admission) return this.#refuse(request, admission.refusal, admission.address)
    this.#admission = admission
    this.#isAuthDone = admission.initiatorCredentials === undefined
    this.#negotiation = new Negotiation(this.#options.wishes, isDiscovery)
    if (!isDiscovery) said.push(['TargetPortalGroupTag', String(admission.portalGroupTag)])
    if (admission.targetAlias !== undefined) said.push(['TargetAlias', admission.targetAlias])
    return undefined
  }

  #isInStage({ currentStage, nextStage, transit }: Pdu<'loginRequest'>): boolean {
    this.#stage ??= currentStage
    if (currentStage !== this.#stage) return false
    if (currentStage !== loginStage.security && currentStage !== loginStage.operational) return false
    return !transit || (nextStage > currentStage && nextStage !== 2)
  }

  /** The security stage's keys. Returns the status that refuses. */
  #authenticate(keys: ReadonlyMap<string, string>, said: TextPair[]): number | undefined {
    const { initiatorCredentials, targetCredentials } = this.#admission ?? {}
    const methods = keys.get('AuthMethod')?.split(',')
    if (methods !== undefined) {
      const method = initiatorCredentials === undefined ? 'None' : 'CHAP'
      if (!methods.includes(method)) return loginStatus.authenticationFailed
      said.push(['AuthMethod', method])
      return undefined
    }
    const algorithms = keys.get('CHAP_A')
    if (algorithms !== undefined) {
      this.#algorithm = chooseAlgorithm(algorithms)
      if (this.#algorithm === undefined || initiatorCredentials === undefined)
        return loginStatus.authenticationFailed
      this.#challenge = randomBytes(challengeBytes)
      this.#identifier = randomBytes(1)[0] ?? 0
      said.push(
        ['CHAP_A', String(this.#algorithm)],
        ['CHAP_I', String(this.#identifier)],
        ['CHAP_C', formatBinary(this.#challenge)],
      )
      return undefined
    }
    const response = keys.get('CHAP_R')
    if (response === undefined) return undefined
    const algorithm = this.#algorithm
    if (algorithm === undefined || initiatorCredentials === undefined || this.#isAuthDone)
      return loginStatus.authenticationFailed
    const expected = chapResponse(algorithm, this.#identifier, initiatorCredentials.secret, this.#challenge)
    const given = parseBinary(response, chapMaxBytes)
    if (
      given === undefined ||
      !sameBytes(given, expected) ||
      keys.get('CHAP_N') !== initiatorCredentials.name
    )
      return loginStatus.authenticationFailed
    this.#isAuthDone = true
    const theirs = keys.get('CHAP_C')
    if (theirs === undefined) return undefined
    const challenge = parseBinary(theirs, chapMaxBytes)
    // Section 9.2.1: a challenge of ours that comes back would have us answer for the initiator.
    if (challenge === undefined || sameBytes(challenge, this.#challenge) || targetCredentials === undefined)
      return loginStatus.authenticationFailed
    const answer = chapResponse(
      algorithm,
      parseChapIdentifier(keys.get('CHAP_I')),
      targetCredentials.secret,
      challenge,
    )
    said.push(['CHAP_N', targetCredentials.name], ['CHAP_R', formatBinary(answer)])
    return undefined
  }

  #conclude(request: Pdu<'loginRequest'>, pairs: readonly TextPair[], said: TextPair[]): TargetLoginAnswer {
    const negotiation = this.#negotiation
    if (negotiation === undefined) throw malformed('login', 0, 'a first request', 'none')
    said.push(...negotiation.receive(operationalPairs(pairs)))
    if (request.currentStage === loginStage.operational) said.push(...negotiation.declare())
    const transit = request.transit && this.#isAuthDone
    this.#text.put(said)
    const piece = this.#text.next() ?? { data: Buffer.alloc(0), continues: false }
    return this.#answer(request, piece.data, piece.continues, transit && !piece.continues)
  }

  #answer(
    request: Pdu<'loginRequest'>,
    data: Buffer,
    continues: boolean,
    transit: boolean,
  ): TargetLoginAnswer {
    const isLast = transit && request.nextStage === loginStage.fullFeature
    if (transit) this.#stage = request.nextStage
    const tsih = isLast && this.#claim !== undefined ? this.#options.establish(this.#claim) : request.tsih
    const header = this.#header(request, {
      transit,
      continues,
      nextStage: transit ? request.nextStage : 0,
      tsih,
    })
    return { header, data, outcome: isLast ? 'established' : 'continue' }
  }

  #refuse(request: Pdu<'loginRequest'>, status: number, address?: string): TargetLoginAnswer {
    this.#text.put(address === undefined ? [] : [['TargetAddress', address]])
    const data = this.#text.next()?.data ?? Buffer.alloc(0)
    return { header: this.#header(request, { status }), data, outcome: 'refused' }
  }

  #header(request: Pdu<'loginRequest'>, fields: Partial<Pdu<'loginResponse'>>): Buffer {
    const statSn = this.#statSn
    this.#statSn = serialNext(statSn)
    return encodePdu('loginResponse', {
      currentStage: request.currentStage,
      isid: request.isid,
      tsih: request.tsih,
      initiatorTaskTag: request.initiatorTaskTag,
      statSn,
      expCmdSn: request.cmdSn,
      maxCmdSn: (request.cmdSn + this.#options.commandWindow - 1) >>> 0,
      ...fields,
    })
  }
}
