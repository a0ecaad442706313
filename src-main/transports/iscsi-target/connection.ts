import type { Buffer } from 'node:buffer'
import { Socket } from 'node:net'
import { crc32c } from '@node-rs/crc32'
import { AppError } from '#shared/errors/app-error.ts'
import { noDigests } from '#main/protocols/iscsi/frame.ts'
import { malformed } from '#main/protocols/iscsi/malformed.ts'
import { opcode, opcodeMask } from '#main/protocols/iscsi/opcodes.ts'
import { defaultParameters } from '#main/protocols/iscsi/parameters.ts'
import { PduReader } from '#main/protocols/iscsi/pdu-reader.ts'
import type { PduReceiver, ReaderLimits } from '#main/protocols/iscsi/pdu-reader.ts'
import { TargetLogin } from '#main/protocols/iscsi/target-login.ts'
import type { Admission, LoginClaim, TargetLoginAnswer } from '#main/protocols/iscsi/target-login.ts'
import { limits } from './limits.ts'
import { Session } from './session.ts'
import type { Line, SessionFacts, SessionHost } from './session.ts'
import { Transmitter } from './transmitter.ts'

const wishes = {
  ...defaultParameters,
  headerDigest: ['None', 'CRC32C'],
  dataDigest: ['None', 'CRC32C'],
  initialR2T: false,
  maxRecvDataSegmentLength: limits.segmentBytes,
  maxBurstLength: limits.burstBytes,
  firstBurstLength: limits.firstBurstBytes,
  defaultTime2Retain: 0,
  maxOutstandingR2T: limits.r2tsOfTask,
} as const

export interface Establishment {
  readonly served: SessionFacts['served']
  readonly tsih: number
  /** undefined: there is none to wait for. */
  readonly ready?: Promise<unknown>
}

export interface ConnectionHost extends SessionHost {
  admit(claim: LoginClaim): Admission
  /**
   * Takes the place of older sessions of the same name and ISID. Returns what is served, the session's handle, and
   * when nothing of the older ones touches the file any more.
   */
  establish(connection: Connection, claim: LoginClaim): Establishment
  /** The connection has a session with a target. */
  loggedIn(connection: Connection): void
  closed(connection: Connection): void
  /** A mistake of ours ended the connection. */
  fault(connection: Connection, error: unknown): void
}

/** A connection of an initiator: its login, then its session. */
export class Connection implements PduReceiver, Line {
  readonly transmitter: Transmitter
  readonly peer: string
  claim: LoginClaim | undefined
  tsih = 0
  session: Session | undefined
  readonly #host: ConnectionHost
  readonly #socket: Socket
  readonly #reader: PduReader
  readonly #limits: ReaderLimits = {
    maxDataBytes: defaultParameters.maxRecvDataSegmentLength,
    digests: noDigests,
  }
  readonly #login: TargetLogin
  /** Ends what takes too long: a login, or a discovery session in which nothing is asked. */
  #timer: NodeJS.Timeout
  #establishment: Establishment | undefined
  #isFlushing = false
  #isPaused = false
  #isClosed = false
  #closing: Promise<void> | undefined

  /** @param accepted just accepted and not read yet (pauseOnConnect) */
  constructor(accepted: Socket, host: ConnectionHost) {
    this.#host = host
    this.peer = `${accepted.remoteAddress ?? '?'}:${accepted.remotePort ?? 0}`
    this.#reader = new PduReader(this, this.#limits, crc32c)
    this.#socket = readingInto(accepted, {
      next: () => this.#reader.readBuffer(),
      take: (buffer, length) => this.#take(buffer, length),
    })
    this.#socket.setNoDelay(true)
    this.#socket.setKeepAlive(true, 30_000)
    this.#socket.on('error', () => void this.drop())
    this.#socket.on('end', () => void this.drop())
    this.#socket.on('close', () => void this.drop())
    this.transmitter = new Transmitter(this.#socket, () => this.#sent())
    this.#timer = setTimeout(() => void this.drop(), limits.loginMs)
    this.#login = new TargetLogin({
      wishes,
      statSn: 0,
      commandWindow: limits.commands,
      admit: (claim) => {
        this.claim = claim
        return host.admit(claim)
      },
      establish: (claim) => {
        this.#establishment = host.establish(this, claim)
        this.tsih = this.#establishment.tsih
        return this.tsih
      },
    })
    this.#socket.resume()
  }

  onHeader(header: Buffer, offset: number, _ahsBytes: number, dataBytes: number): boolean {
    const place = this.session?.placeOf(header, offset, dataBytes)
    if (place === undefined) return false
    this.#reader.into = place.bytes
    this.#reader.intoOffset = place.at
    return true
  }

  onPdu(header: Buffer, offset: number, _ahsBytes: number, data: Buffer, dataBytes: number): void {
    if (this.#isClosed) return
    if (this.session !== undefined) {
      if (this.session.served === undefined) this.#timer.refresh()
      return this.session.receive(header, offset, data, dataBytes)
    }
    if (this.#establishment !== undefined)
      throw malformed('opcode', 0, 'nothing before the answer to the login', header[offset] ?? 0)
    if (((header[offset] ?? 0) & opcodeMask) !== opcode.loginRequest)
      throw malformed('opcode', 0, 'a login', header[offset] ?? 0)
    const answer = this.#login.receive(header.subarray(offset, offset + 48), data)
    this.#answerWhenReady(answer)
  }

  #answerWhenReady(answer: TargetLoginAnswer): void {
    const ready = this.#establishment?.ready
    if (ready === undefined) this.#answerLogin(answer)
    else void ready.then(() => this.#answerLogin(answer))
  }

  #answerLogin({ header, data, outcome }: TargetLoginAnswer): void {
    if (this.#isClosed) return
    const place = this.transmitter.begin(data.length)
    header.copy(this.transmitter.bytes, place)
    data.copy(this.transmitter.bytes, this.transmitter.dataAt(place))
    this.transmitter.end(data.length)
    if (outcome === 'refused') return this.hangUp()
    if (outcome === 'established') this.#begin()
  }

  hangUp(): void {
    if (this.#isClosed) return
    this.transmitter.flush()
    this.#socket.end()
    // A peer that does not hang up in its turn does not keep the session.
    setTimeout(() => void this.drop(), 1000).unref()
    void this.#end()
  }

  flushSoon(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    setImmediate(() => {
      this.#isFlushing = false
      if (!this.#socket.destroyed) this.transmitter.flush()
    })
  }

  /** Hangs up at once. Resolves when nothing of the session touches the file any more. */
  async drop(): Promise<void> {
    this.#socket.destroy()
    await this.#end()
  }

  #end(): Promise<void> {
    this.#closing ??= this.#finish()
    return this.#closing
  }

  async #finish(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.session?.close()
    this.#host.closed(this)
  }

  #begin(): void {
    const { claim } = this
    if (claim === undefined) return
    clearTimeout(this.#timer)
    const { parameters } = this.#login
    const digests = { header: parameters.headerDigest, data: parameters.dataDigest }
    this.#limits.maxDataBytes = parameters.maxRecvDataSegmentLength
    this.#limits.digests = digests
    this.transmitter.flush()
    this.transmitter.digests = digests
    this.session = new Session(
      {
        initiator: claim.initiatorName,
        isid: hexOf(claim.isid),
        parameters,
        statSn: this.#login.statSn,
        expCmdSn: this.#login.expCmdSn,
        served: this.#establishment?.served,
      },
      this,
      this.#host,
    )
    // Nobody has proven who asks what there is: such a session stays among those that give way.
    if (this.session.served === undefined)
      this.#timer = setTimeout(() => void this.drop(), limits.discoveryMs)
    else this.#host.loggedIn(this)
  }

  /** Returns whether to go on reading. */
  #take(buffer: Buffer, length: number): boolean {
    try {
      this.#reader.take(buffer, length)
    } catch (error) {
      // What the protocol does not allow: at ErrorRecoveryLevel 0 the connection ends.
      void this.drop()
      if (!(error instanceof AppError)) this.#host.fault(this, error)
      return false
    }
    if (this.#isClosed) return false
    this.transmitter.flush()
    this.#isPaused = this.transmitter.unsentBytes > limits.unsentBytes
    return !this.#isPaused
  }

  #sent(): void {
    this.session?.sent()
    if (!this.#isPaused || this.transmitter.unsentBytes > limits.unsentBytes) return
    this.#isPaused = false
    this.#socket.resume()
  }
}

const hexOf = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

/**
 * The same connection, read into memory of our choice. A server's sockets cannot be told where to read; a socket made
 * from the handle can (the option `onread`). It saves a buffer and a copy for each read.
 */
function readingInto(
  accepted: Socket,
  reader: { readonly next: () => Buffer; readonly take: (buffer: Buffer, length: number) => boolean },
): Socket {
  // Without its handle it is closed for the server's count of connections, and the connection is not.
  const inside = accepted as unknown as Record<string, unknown>
  const handle = inside['_handle']
  inside['_handle'] = null
  accepted.destroy()
  const options = {
    handle,
    onread: {
      buffer: reader.next,
      callback: (length: number, buffer: Buffer) => reader.take(buffer, length),
    },
  }
  return new Socket(options as unknown as ConstructorParameters<typeof Socket>[0])
}
