import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { toAppError } from '#shared/errors/app-error.ts'
import type { AppError } from '#shared/errors/app-error.ts'
import { noDigests } from '#main/protocols/iscsi/frame.ts'
import { defaultParameters } from '#main/protocols/iscsi/parameters.ts'
import { PduReader } from '#main/protocols/iscsi/pdu-reader.ts'
import type { PduReceiver, ReaderLimits } from '#main/protocols/iscsi/pdu-reader.ts'
import { crc32c as nativeCrc32c } from '@node-rs/crc32'
import { abortError, connectError, unreachable } from './errors.ts'
import { PduWriter } from './pdu-writer.ts'
import { formatPortal } from './portal.ts'
import type { Portal } from './portal.ts'

/** What takes the PDUs of a connection. */
export interface ConnectionUser extends PduReceiver {
  /** After all PDUs of one read. */
  onTurn(): void
  /** Once, at the end, whoever ended it. */
  onClose(error: AppError): void
}

/**
 * A TCP connection that carries PDUs. Bytes are read straight into the reader's buffers; what is written during a
 * turn goes out in one writev at its end. An error of a PDU, of the socket or of the user ends it.
 */
export class Connection {
  readonly reader: PduReader
  readonly writer: PduWriter
  readonly limits: ReaderLimits = {
    maxDataBytes: defaultParameters.maxRecvDataSegmentLength,
    digests: noDigests,
  }
  /** Something came since this was set to false. */
  hasHeard = false

  readonly #socket: Socket
  #user: ConnectionUser | undefined
  #error: AppError | undefined
  #isReading = false
  #isFlushPlanned = false

  private constructor(portal: Portal, onEnd: () => void) {
    this.reader = new PduReader(
      {
        onHeader: (header, offset, ahsBytes, dataBytes) =>
          this.#user?.onHeader(header, offset, ahsBytes, dataBytes) ?? false,
        onPdu: (header, offset, ahsBytes, data, dataBytes) =>
          this.#user?.onPdu(header, offset, ahsBytes, data, dataBytes),
      },
      this.limits,
      nativeCrc32c,
    )
    this.#socket = connect({
      ...portal,
      noDelay: true,
      onread: {
        buffer: () => this.reader.readBuffer(),
        callback: (length, buffer) => {
          this.#take(buffer as Buffer, length)
          return true
        },
      },
    })
    this.writer = new PduWriter(this.#socket)
    const place = formatPortal(portal)
    let isConnected = false
    this.#socket.once('connect', () => {
      isConnected = true
    })
    this.#socket.on('error', (error) => {
      this.close(
        isConnected
          ? unreachable(`The connection to the portal ${place} was lost`)
          : connectError(error, place),
      )
    })
    for (const event of ['end', 'close'] as const)
      this.#socket.once(event, () => {
        const where = this.reader.isBetweenPdus ? '' : ' in the middle of a PDU'
        this.close(unreachable(`The target closed the connection to the portal ${place}${where}`))
        if (event === 'close') onEnd()
      })
  }

  /** Throws unreachable, timeout, and what aborted the signal. */
  static async connect(portal: Portal, signal: AbortSignal): Promise<Connection> {
    if (signal.aborted) throw abortError(signal)
    const { promise: ended, resolve: onEnd } = Promise.withResolvers<void>()
    const connection = new Connection(portal, onEnd)
    const { promise: failed, reject } = Promise.withResolvers<never>()
    const onAbort = (): void => reject(abortError(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const connected = new Promise<void>((resolve) => connection.#socket.once('connect', () => resolve()))
      await Promise.race([connected, failed, ended])
      if (connection.#error !== undefined) throw connection.#error
      return connection
    } catch (error) {
      connection.close(toAppError(error))
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  use(user: ConnectionUser): void {
    this.#user = user
    if (this.#error !== undefined) user.onClose(this.#error)
  }

  get error(): AppError | undefined {
    return this.#error
  }

  /** Bytes that wait for the other side to read. */
  get backlogBytes(): number {
    return this.#socket.writableLength
  }

  /** What was written is to go out at the end of this turn. */
  flushLater(): void {
    if (this.#isReading || this.#isFlushPlanned) return
    this.#isFlushPlanned = true
    process.nextTick(this.#flushNow)
  }
  readonly #flushNow = (): void => {
    this.#isFlushPlanned = false
    if (this.#error === undefined) this.writer.flush()
  }

  /** Ends it now, with what was not sent yet. The first reason counts. */
  close(error: AppError): void {
    if (this.#error !== undefined) return
    this.#error = error
    this.#socket.destroy()
    this.#user?.onClose(error)
  }

  #take(buffer: Buffer, length: number): void {
    if (this.#error !== undefined) return
    this.hasHeard = true
    this.#isReading = true
    try {
      this.reader.take(buffer, length)
      if (this.error === undefined) this.#user?.onTurn()
      this.#isReading = false
      if (this.error === undefined) this.writer.flush()
    } catch (error) {
      this.#isReading = false
      this.close(toAppError(error))
    }
  }
}
