import { Buffer } from 'node:buffer'
import { malformed } from '#main/protocols/iscsi/malformed.ts'
import {
  at,
  bit,
  logoutAnswer,
  logoutReason,
  opcode,
  opcodeMask,
  rejectReason,
  reservedTag,
} from '#main/protocols/iscsi/opcodes.ts'
import type { OperationalParameters } from '#main/protocols/iscsi/parameters.ts'
import { decodePduOf, encodePdu } from '#main/protocols/iscsi/pdus.ts'
import { serialBefore, serialNext } from '#main/protocols/iscsi/serial.ts'
import { scratch } from './data-out.ts'
import { limits } from './limits.ts'
import type { LogicalUnit } from './logical-unit.ts'
import type { Nexus } from './nexus.ts'
import { portOf } from './nexus.ts'
import { manageTasks } from './task-management.ts'
import { TaskSet } from './task-set.ts'
import type { Burst } from './task.ts'
import { TextExchange } from './text-exchange.ts'
import type { Transmitter } from './transmitter.ts'
import type { WriteRoom } from './write-room.ts'

/** What a session is told at the end of its login. */
export interface SessionFacts {
  readonly initiator: string
  /** 12 hex digits. */
  readonly isid: string
  readonly parameters: OperationalParameters
  readonly statSn: number
  readonly expCmdSn: number
  /** undefined: a discovery session. */
  readonly served: { readonly unit: LogicalUnit; readonly lun: number; readonly target: string } | undefined
}

export interface SessionHost {
  readonly room: WriteRoom
  /** Names and addresses, as SendTargets has them. */
  describeTargets(initiator: string, target: string | undefined): readonly (readonly [string, string])[]
  /** Logs out everybody from the target of this session, after a cold reset. */
  dropAll(session: Session): void
  trouble(session: Session, error: NodeJS.ErrnoException): void
}

/** How a session uses its connection. */
export interface Line {
  readonly transmitter: Transmitter
  /** Sends what is made, then hangs up. */
  hangUp(): void
  flushSoon(): void
}

/** Less is worked on where it was read to. */
const inboxFromBytes = 32 * 1024

/** The full feature phase of a login: commands in, answers out. One connection; ErrorRecoveryLevel 0. */
export class Session implements Nexus {
  readonly initiator: string
  readonly isid: string
  readonly port: string
  readonly attentions: Nexus['attentions'] = []
  readonly startedAt = new Date()
  readonly transmitter: Transmitter
  readonly served: SessionFacts['served']
  /** undefined: a discovery session. */
  readonly tasks: TaskSet | undefined
  readonly #host: SessionHost
  readonly #line: Line
  readonly #text: TextExchange
  readonly #maxSendBytes: number
  #statSn: number
  #expCmdSn: number
  #incoming: Burst | undefined
  /** Where large immediate data are read to. */
  #inbox: Buffer | undefined

  constructor(facts: SessionFacts, line: Line, host: SessionHost) {
    const { initiator, isid, parameters, served } = facts
    this.initiator = initiator
    this.isid = isid
    this.port = portOf(initiator, isid)
    this.served = served
    this.transmitter = line.transmitter
    this.#host = host
    this.#line = line
    this.#statSn = facts.statSn
    this.#expCmdSn = facts.expCmdSn
    this.#maxSendBytes = Math.min(parameters.maxSendDataSegmentLength, limits.segmentBytes)
    this.#text = new TextExchange(this.#maxSendBytes, (which) =>
      host.describeTargets(initiator, which === '' ? served?.target : which === 'All' ? undefined : which),
    )
    if (served === undefined) return
    const { room } = host
    this.tasks = new TaskSet(
      {
        nexus: this,
        served,
        room,
        transmitter: this.transmitter,
        stamp: (bytes, offset, hasStatus) => this.#stamp(bytes, offset, hasStatus),
        reject: (header, reason) => this.#reject(header, reason),
        flushSoon: () => line.flushSoon(),
        trouble: (error) => host.trouble(this, error),
      },
      parameters,
    )
    served.unit.attach(this)
  }

  /** A data segment begins. Returns where it goes: what is large is not to be copied or to need new memory. */
  placeOf(
    header: Buffer,
    offset: number,
    dataBytes: number,
  ): { readonly bytes: Buffer; readonly at: number } | undefined {
    const code = (header[offset] ?? 0) & opcodeMask
    if (code === opcode.scsiCommand && dataBytes >= inboxFromBytes) {
      this.#inbox ??= Buffer.allocUnsafeSlow(limits.segmentBytes)
      return { bytes: this.#inbox, at: 0 }
    }
    if (code !== opcode.dataOut) return undefined
    const burst = this.tasks?.burstOf(header, offset, dataBytes)
    this.#incoming = burst
    return burst === undefined
      ? { bytes: scratch, at: 0 }
      : { bytes: burst.bytes, at: burst.bytesAt + burst.filled }
  }

  /** A PDU is complete. Throws device-rejected for what the protocol does not allow: hang up then. */
  receive(header: Buffer, offset: number, data: Buffer, dataBytes: number): void {
    switch ((header[offset] ?? 0) & opcodeMask) {
      case opcode.scsiCommand:
        return this.#command(header, offset, data, dataBytes)
      case opcode.dataOut: {
        const burst = dataBytes === 0 ? this.tasks?.burstOf(header, offset, 0) : this.#incoming
        this.#incoming = undefined
        const isFinal = ((header[offset + at.flags] ?? 0) & bit.final) !== 0
        if (burst !== undefined) this.tasks?.arrived(burst, dataBytes, isFinal)
        return
      }
      case opcode.nopOut:
        return this.#nopOut(header.subarray(offset, offset + 48), data)
      case opcode.taskManagementRequest:
        return this.#taskManagement(header.subarray(offset, offset + 48))
      case opcode.textRequest:
        return this.#textRequest(header.subarray(offset, offset + 48), data)
      case opcode.logoutRequest:
        return this.#logout(header.subarray(offset, offset + 48))
      case opcode.snackRequest:
        return this.#reject(header.subarray(offset, offset + 48), rejectReason.snackReject)
      case opcode.loginRequest:
        throw malformed('opcode', 0, 'no login in a session', opcode.loginRequest)
      default:
        return this.#reject(header.subarray(offset, offset + 48), rejectReason.commandNotSupported)
    }
  }

  /** The initiator has taken something. */
  sent(): void {
    this.tasks?.sent()
  }

  /** The connection is gone. Resolves when no command of it touches the file any more. */
  async close(): Promise<void> {
    await this.abortTasks()
    // Only now: who fences this initiator has to find what still writes.
    this.served?.unit.detach(this)
  }

  async abortTasks(): Promise<void> {
    await this.tasks?.abort()
  }

  #stamp(bytes: Buffer, offset: number, hasStatus: boolean): void {
    if (hasStatus) {
      bytes.writeUInt32BE(this.#statSn, offset + at.statSn)
      this.#statSn = serialNext(this.#statSn)
    }
    bytes.writeUInt32BE(this.#expCmdSn, offset + at.expCmdSn)
    bytes.writeUInt32BE(this.#maxCmdSn, offset + at.maxCmdSn)
  }

  get #counted(): number {
    return this.tasks?.counted ?? 0
  }
  /** One before ExpCmdSN when the window is closed. */
  get #maxCmdSn(): number {
    return (this.#expCmdSn + limits.commands - this.#counted - 1) >>> 0
  }

  /**
   * Takes a request's CmdSN. false: it is outside the window and has to be ignored (RFC 7143, 4.2.2.1). One inside the
   * window but not the next would need another connection to bring what is between: throws.
   */
  #takesNumber(header: Buffer, offset: number): boolean {
    if (((header[offset] ?? 0) & bit.immediate) !== 0) return true
    const cmdSn = header.readUInt32BE(offset + at.cmdSn)
    if (cmdSn !== this.#expCmdSn || this.#counted >= limits.commands) {
      if (serialBefore(cmdSn, this.#expCmdSn) || serialBefore(this.#maxCmdSn, cmdSn)) return false
      throw malformed('CmdSN', at.cmdSn, String(this.#expCmdSn), cmdSn)
    }
    this.#expCmdSn = serialNext(cmdSn)
    return true
  }

  #command(header: Buffer, offset: number, data: Buffer, dataBytes: number): void {
    if (!this.#takesNumber(header, offset)) return
    if (this.tasks === undefined)
      return this.#reject(header.subarray(offset, offset + 48), rejectReason.protocolError)
    const inbox = dataBytes >= inboxFromBytes ? this.#inbox?.subarray(0, dataBytes) : undefined
    this.tasks.begin(header, offset, inbox ?? data)
  }

  #nopOut(header: Buffer, data: Buffer): void {
    if (!this.#takesNumber(header, 0)) return
    const ping = decodePduOf('nopOut', header)
    if (ping.initiatorTaskTag === reservedTag) return
    this.#send(
      encodePdu('nopIn', { lun: ping.lun, initiatorTaskTag: ping.initiatorTaskTag }),
      data.subarray(0, this.#maxSendBytes),
    )
  }

  #taskManagement(header: Buffer): void {
    if (!this.#takesNumber(header, 0)) return
    const request = decodePduOf('taskManagementRequest', header)
    void manageTasks(this, request).then(({ response, dropsSessions }) => {
      this.#send(
        encodePdu('taskManagementResponse', { response, initiatorTaskTag: request.initiatorTaskTag }),
      )
      this.#line.flushSoon()
      if (dropsSessions) this.#host.dropAll(this)
    })
  }

  #textRequest(header: Buffer, data: Buffer): void {
    if (!this.#takesNumber(header, 0)) return
    const request = decodePduOf('textRequest', header)
    const answer = this.#text.answer(request, data)
    this.#send(encodePdu('textResponse', { ...answer.fields, lun: request.lun }), answer.data)
  }

  #logout(header: Buffer): void {
    if (!this.#takesNumber(header, 0)) return
    const { reason, initiatorTaskTag } = decodePduOf('logoutRequest', header)
    const isRecovery = reason === logoutReason.removeForRecovery
    const response = isRecovery ? logoutAnswer.recoveryNotSupported : logoutAnswer.closed
    void this.abortTasks().then(() => {
      this.#send(encodePdu('logoutResponse', { response, initiatorTaskTag }))
      if (isRecovery) this.#line.flushSoon()
      else this.#line.hangUp()
    })
  }

  #reject(header: Buffer, reason: number): void {
    this.#send(encodePdu('reject', { reason }), header)
  }

  #send(header: Buffer, data: Uint8Array = Buffer.alloc(0)): void {
    const offset = this.transmitter.begin(data.length)
    const { bytes } = this.transmitter
    header.copy(bytes, offset)
    this.#stamp(bytes, offset, true)
    bytes.set(data, this.transmitter.dataAt(offset))
    this.transmitter.end(data.length)
  }
}
