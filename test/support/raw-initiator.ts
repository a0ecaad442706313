import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { encodeCdb } from '#main/protocols/scsi/cdb.ts'
import type { Cdb } from '#main/protocols/scsi/cdb.ts'
import { encodeLun } from '#main/protocols/scsi/luns.ts'
import { decodeSense, formatSense } from '#main/protocols/scsi/sense.ts'
import { scsiStatus } from '#main/protocols/scsi/status.ts'
import type { ChapCredentials } from '#main/protocols/iscsi/chap.ts'
import { framePdu, noDigests } from '#main/protocols/iscsi/frame.ts'
import type { Digests } from '#main/protocols/iscsi/frame.ts'
import { InitiatorLogin } from '#main/protocols/iscsi/initiator-login.ts'
import { reservedTag } from '#main/protocols/iscsi/opcodes.ts'
import { defaultParameters } from '#main/protocols/iscsi/parameters.ts'
import type { OperationalParameters, OperationalWishes } from '#main/protocols/iscsi/parameters.ts'
import { PduReader } from '#main/protocols/iscsi/pdu-reader.ts'
import type { ReaderLimits } from '#main/protocols/iscsi/pdu-reader.ts'
import { decodePdu, encodePdu } from '#main/protocols/iscsi/pdus.ts'
import type { AnyPdu } from '#main/protocols/iscsi/pdus.ts'

export interface RawOptions {
  readonly port: number
  readonly initiator?: string
  /** undefined: a discovery session. */
  readonly target?: string | undefined
  readonly isid?: string
  readonly wishes?: Partial<OperationalWishes>
  readonly credentials?: ChapCredentials
  readonly targetCredentials?: ChapCredentials
}

export interface Received {
  readonly pdu: AnyPdu
  readonly data: Buffer
}

export interface CommandResult {
  readonly status: number
  /** "5h 24h/00h invalidFieldInCdb"; empty without sense data. */
  readonly sense: string
  readonly data: Buffer
  /** Positive: underflow. */
  readonly residual: number
}

export const labInitiator = 'iqn.2026-11.lab.host:esx1'

/**
 * An initiator that does what it is told and nothing else: PDUs of any bytes, in any order. Commands one at a time.
 * Data that the target asks for are sent as it wants them.
 */
export class RawInitiator {
  readonly socket: Socket
  parameters: OperationalParameters = defaultParameters
  cmdSn = 1
  expStatSn = 0
  tsih = 0
  #digests: Digests = noDigests
  readonly #limits: ReaderLimits = { maxDataBytes: 0xffffff, digests: noDigests }
  readonly #received: Received[] = []
  #wake: (() => void) | undefined
  #isClosed = false
  #nextTag = 1

  constructor(socket: Socket) {
    this.socket = socket
    const reader = new PduReader(
      {
        onHeader: () => false,
        onPdu: (header, offset, _ahs, data) => {
          const pdu = decodePdu(Buffer.from(header.subarray(offset, offset + 48)))
          this.#received.push({ pdu, data: Buffer.from(data) })
          this.#wake?.()
        },
      },
      this.#limits,
    )
    socket.on('data', (bytes: Buffer) => reader.take(bytes))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#isClosed = true
      this.#wake?.()
    })
  }

  static async connect(port: number): Promise<RawInitiator> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.setNoDelay(true)
    return new RawInitiator(socket)
  }

  /** Logs in; rejects with the codec's error when it is refused, and when the target hangs up. */
  static async login(options: RawOptions): Promise<RawInitiator> {
    const raw = await RawInitiator.connect(options.port)
    const { initiator = labInitiator, target, isid = '80aabbcc0001', wishes = {} } = options
    const login = new InitiatorLogin({
      initiatorName: initiator,
      ...(target === undefined ? {} : { targetName: target }),
      isid: Buffer.from(isid, 'hex'),
      cid: 0,
      cmdSn: raw.cmdSn,
      wishes: {
        ...defaultParameters,
        headerDigest: ['None'],
        dataDigest: ['None'],
        maxRecvDataSegmentLength: 262_144,
        maxBurstLength: 262_144,
        ...wishes,
      },
      ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
      ...(options.targetCredentials === undefined ? {} : { targetCredentials: options.targetCredentials }),
    })
    try {
      for (let step = login.start(); ;) {
        if (step.kind === 'done') {
          raw.parameters = step.parameters
          raw.expStatSn = step.expStatSn
          raw.tsih = step.tsih
          raw.#digests = { header: step.parameters.headerDigest, data: step.parameters.dataDigest }
          raw.#limits.digests = raw.#digests
          return raw
        }
        if (step.kind !== 'send') throw new Error(`unexpected step ${step.kind}`)
        raw.sendRaw(...framePdu(step.header, { data: step.data }))
        const header = await raw.nextBytes()
        step = login.receive(header.header, header.data)
      }
    } catch (error) {
      raw.socket.destroy()
      throw error
    }
  }

  sendRaw(...parts: Uint8Array[]): void {
    this.socket.write(Buffer.concat(parts))
  }

  send(header: Buffer, data: Uint8Array = Buffer.alloc(0)): void {
    this.sendRaw(...framePdu(header, { data, digests: this.#digests }))
  }

  /** The next PDU; undefined: the target hung up. */
  async next(): Promise<Received | undefined> {
    while (this.#received.length === 0) {
      if (this.#isClosed) return undefined
      await new Promise<void>((resolve) => (this.#wake = resolve))
      this.#wake = undefined
    }
    return this.#received.shift()
  }

  async nextBytes(): Promise<{ header: Buffer; data: Buffer }> {
    const received = await this.next()
    if (received === undefined) throw new Error('the target hung up')
    const { kind, ...fields } = received.pdu
    return { header: encodePdu(kind, fields), data: received.data }
  }

  /** Whether the target has hung up: what it still sent is passed over. */
  async hungUp(): Promise<boolean> {
    while ((await this.next()) !== undefined) continue
    return true
  }

  takeTag(): number {
    return this.#nextTag++
  }

  /** Sends a SCSI command without waiting. Immediate data as far as it was agreed, unless `immediate` says otherwise. */
  start(
    cdb: Cdb | Uint8Array,
    { lun = 1, out, inBytes = 0, outBytes = out?.length ?? 0, immediate, final = true }: CommandOptions = {},
  ): number {
    const tag = this.takeTag()
    const { immediateData, firstBurstLength, maxSendDataSegmentLength } = this.parameters
    const most = immediateData ? Math.min(firstBurstLength, maxSendDataSegmentLength) : 0
    const data = out?.subarray(0, immediate ?? most)
    this.send(
      encodePdu('scsiCommand', {
        final,
        read: inBytes > 0,
        write: outBytes > 0,
        attribute: 1,
        lun: encodeLun(lun),
        initiatorTaskTag: tag,
        expectedDataTransferLength: Math.max(inBytes, outBytes),
        cmdSn: this.cmdSn++ >>> 0,
        expStatSn: this.expStatSn,
        cdb: cdb instanceof Uint8Array ? cdb : encodeCdb(cdb),
      }),
      data,
    )
    return tag
  }

  /** Sends a SCSI command and gives what becomes of it. Throws when the target hangs up. */
  async command(cdb: Cdb | Uint8Array, options: CommandOptions = {}): Promise<CommandResult> {
    const tag = this.start(cdb, options)
    return this.finish(tag, options)
  }

  async finish(tag: number, { out }: CommandOptions = {}): Promise<CommandResult> {
    const parts: Buffer[] = []
    for (;;) {
      const received = await this.next()
      if (received === undefined) throw new Error('the target hung up')
      const { pdu, data } = received
      if (!('initiatorTaskTag' in pdu) || pdu.initiatorTaskTag !== tag) continue
      if (pdu.kind === 'readyToTransfer') this.sendData(pdu, out ?? Buffer.alloc(0))
      else if (pdu.kind === 'dataIn') {
        parts.push(data)
        if (!pdu.hasStatus) continue
        this.expStatSn = pdu.statSn + 1
        return result(pdu.status, Buffer.alloc(0), Buffer.concat(parts), pdu)
      } else if (pdu.kind === 'scsiResponse') {
        this.expStatSn = pdu.statSn + 1
        return result(pdu.status, data, Buffer.concat(parts), pdu)
      } else throw new Error(`unexpected ${pdu.kind}`)
    }
  }

  /** What an R2T asks for. */
  sendData(r2t: Extract<AnyPdu, { kind: 'readyToTransfer' }>, out: Uint8Array): void {
    const end = r2t.bufferOffset + r2t.desiredDataTransferLength
    const most = this.parameters.maxSendDataSegmentLength
    let dataSn = 0
    for (let at = r2t.bufferOffset; at < end; at += most) {
      const count = Math.min(most, end - at)
      this.send(
        encodePdu('dataOut', {
          final: at + count === end,
          lun: r2t.lun,
          initiatorTaskTag: r2t.initiatorTaskTag,
          targetTransferTag: r2t.targetTransferTag,
          expStatSn: this.expStatSn,
          dataSn: dataSn++,
          bufferOffset: at,
        }),
        out.subarray(at, at + count),
      )
    }
  }

  /** TEST UNIT READY until the LUN has no more news: their senses. */
  async settle(lun = 1): Promise<string[]> {
    const news: string[] = []
    for (;;) {
      const { status, sense } = await this.command({ kind: 'test-unit-ready' }, { lun })
      if (status === scsiStatus.good) return news
      news.push(sense)
      if (news.length > 20) throw new Error(`the LUN does not settle: ${news.join(', ')}`)
    }
  }

  async manage(taskFunction: number, referencedTaskTag = reservedTag, lun = 1): Promise<number> {
    const tag = this.takeTag()
    this.send(
      encodePdu('taskManagementRequest', {
        immediate: true,
        taskFunction,
        lun: encodeLun(lun),
        initiatorTaskTag: tag,
        referencedTaskTag,
        cmdSn: this.cmdSn,
        expStatSn: this.expStatSn,
      }),
    )
    for (;;) {
      const received = await this.next()
      if (received === undefined) throw new Error('the target hung up')
      if (received.pdu.kind === 'taskManagementResponse') return received.pdu.response
    }
  }

  /** SendTargets=`which`: the text of the answer. */
  async sendTargets(which = 'All'): Promise<string> {
    let text = ''
    let transferTag = reservedTag
    for (;;) {
      this.send(
        encodePdu('textRequest', {
          final: true,
          initiatorTaskTag: 77,
          targetTransferTag: transferTag,
          cmdSn: this.cmdSn++,
          expStatSn: this.expStatSn,
        }),
        transferTag === reservedTag ? Buffer.from(`SendTargets=${which}\0`) : Buffer.alloc(0),
      )
      const received = await this.next()
      if (received?.pdu.kind !== 'textResponse') throw new Error('no text response')
      text += received.data.toString()
      if (received.pdu.final) return text
      transferTag = received.pdu.targetTransferTag
    }
  }

  close(): void {
    this.socket.destroy()
  }
}

export interface CommandOptions {
  readonly lun?: number
  readonly out?: Uint8Array
  readonly inBytes?: number
  /** What the command says that it sends; default: the length of `out`. */
  readonly outBytes?: number
  /** Bytes that go with the command. */
  readonly immediate?: number
  /** false: unasked data follow the command. */
  readonly final?: boolean
}

function result(
  status: number,
  senseSegment: Buffer,
  data: Buffer,
  { overflow, underflow, residualCount }: { overflow: boolean; underflow: boolean; residualCount: number },
): CommandResult {
  return {
    status,
    sense: senseSegment.length > 2 ? formatSense(decodeSense(senseSegment.subarray(2))) : '',
    data,
    residual: underflow ? residualCount : overflow ? -residualCount : 0,
  }
}
