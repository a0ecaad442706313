import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { framePdu, noDigests } from '#main/protocols/iscsi/frame.ts'
import type { OperationalWishes } from '#main/protocols/iscsi/parameters.ts'
import { PduReader } from '#main/protocols/iscsi/pdu-reader.ts'
import type { ReaderLimits } from '#main/protocols/iscsi/pdu-reader.ts'
import { decodePdu, decodePduOf, encodePdu } from '#main/protocols/iscsi/pdus.ts'
import type { AnyPdu, Pdu, PduKind } from '#main/protocols/iscsi/pdus.ts'
import { TargetLogin } from '#main/protocols/iscsi/target-login.ts'
import type { Admission } from '#main/protocols/iscsi/target-login.ts'
import { encodeText } from '#main/protocols/iscsi/text.ts'
import { encodeCapacity16 } from '#main/protocols/scsi/capacity.ts'
import { decodeCdb } from '#main/protocols/scsi/cdb.ts'
import type { Cdb } from '#main/protocols/scsi/cdb.ts'
import { encodeIdentification, naaDesignator } from '#main/protocols/scsi/designators.ts'
import { encodeInquiry } from '#main/protocols/scsi/inquiry.ts'
import { encodeReportLuns } from '#main/protocols/scsi/luns.ts'
import { encodeFixedSense, senses } from '#main/protocols/scsi/sense.ts'
import type { Sense } from '#main/protocols/scsi/sense.ts'
import { scsiStatus } from '#main/protocols/scsi/status.ts'
import { encodeSerial, encodeSupportedPages } from '#main/protocols/scsi/vpd.ts'

/** A command as it came. */
export interface ScriptedCommand extends Pdu<'scsiCommand'> {
  readonly decoded: Cdb | undefined
}

/** What a test may change while sessions are open. */
export interface ScriptedLun {
  disk: Buffer
  serial: string
  isRemoved: boolean
}

export interface ScriptedTargetOptions {
  readonly wishes?: Partial<OperationalWishes>
  readonly admit?: () => Admission
  /** Commands that may be under way; default 64. */
  readonly commandWindow?: number
  /** Instead of the login's own answer; true: done with it. */
  readonly onLogin?: (connection: ScriptedConnection, request: Pdu<'loginRequest'>) => boolean
  /** Before the target's own way with a command; true: done with it. */
  readonly onCommand?: (connection: ScriptedConnection, command: ScriptedCommand) => boolean
  /** Before anything is decoded in the full-feature phase; true: done with it. */
  readonly onRaw?: (connection: ScriptedConnection, header: Buffer) => boolean
  /** Any other PDU in the full-feature phase; true: done with it. */
  readonly onPdu?: (connection: ScriptedConnection, pdu: AnyPdu, data: Buffer) => boolean
}

/** A target over our own codec that does what a test wants: well by default, and as wrongly as the test says. */
export interface ScriptedTarget {
  readonly port: number
  readonly lun: ScriptedLun
  /** Since the start. */
  readonly connections: ScriptedConnection[]
  /** All that came over all connections, by kind or by kind of the command. */
  readonly seen: string[]
  close(): Promise<void>
}

export const scriptedTargetName = 'iqn.2026-11.test:scripted'
const blockBytes = 512

const targetWishes: OperationalWishes = {
  headerDigest: ['None', 'CRC32C'],
  dataDigest: ['None', 'CRC32C'],
  maxConnections: 1,
  initialR2T: true,
  immediateData: true,
  maxRecvDataSegmentLength: 8192,
  maxBurstLength: 16_384,
  firstBurstLength: 8192,
  defaultTime2Wait: 0,
  defaultTime2Retain: 0,
  maxOutstandingR2T: 1,
  dataPduInOrder: true,
  dataSequenceInOrder: true,
  errorRecoveryLevel: 0,
}

export async function startScriptedTarget(options: ScriptedTargetOptions = {}): Promise<ScriptedTarget> {
  const lun: ScriptedLun = { disk: Buffer.alloc(1024 * 1024), serial: 'scripted-1', isRemoved: false }
  const connections: ScriptedConnection[] = []
  const seen: string[] = []
  const server: Server = createServer({ noDelay: true }, (socket) => {
    connections.push(new ScriptedConnection(socket, options, lun, seen))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    lun,
    connections,
    seen,
    async close() {
      for (const connection of connections) connection.drop()
      server.close()
      await once(server, 'close')
    },
  }
}

interface Writing {
  readonly command: ScriptedCommand
  readonly data: Buffer
  received: number
  r2tSn: number
}

export class ScriptedConnection {
  readonly socket: Socket
  statSn = 1
  expCmdSn = 1
  readonly #window: number
  readonly #options: ScriptedTargetOptions
  readonly #lun: ScriptedLun
  readonly #seen: string[]
  readonly #limits: ReaderLimits = { maxDataBytes: 65_536, digests: noDigests }
  readonly #login: TargetLogin
  #isLoggedIn = false
  readonly #writing = new Map<number, Writing>()

  constructor(socket: Socket, options: ScriptedTargetOptions, lun: ScriptedLun, seen: string[]) {
    this.socket = socket
    this.#options = options
    this.#lun = lun
    this.#seen = seen
    this.#window = options.commandWindow ?? 64
    this.#login = new TargetLogin({
      wishes: { ...targetWishes, ...options.wishes },
      statSn: 0,
      commandWindow: this.#window,
      admit: options.admit ?? (() => ({ portalGroupTag: 1 })),
      establish: () => 1,
    })
    const reader = new PduReader(
      {
        onHeader: () => false,
        onPdu: (header, offset, _ahsBytes, data) => this.#take(header.subarray(offset, offset + 48), data),
      },
      this.#limits,
    )
    socket.on('error', () => undefined)
    socket.on('data', (bytes: Buffer) => reader.take(bytes))
  }

  get hasDataDigest(): boolean {
    return this.#limits.digests.data
  }

  /** With the next StatSN where the kind has one of its own. */
  send<K extends PduKind>(kind: K, fields: Partial<Pdu<K>>, data?: Uint8Array): void {
    this.raw(...this.frame(kind, fields, data))
  }

  frame<K extends PduKind>(kind: K, fields: Partial<Pdu<K>>, data?: Uint8Array): Buffer[] {
    const numbers = {
      statSn: this.statSn,
      expCmdSn: this.expCmdSn,
      maxCmdSn: (this.expCmdSn + this.#window - 1) >>> 0,
    }
    const header = encodePdu(kind, { ...numbers, ...fields })
    const consumes = kind !== 'readyToTransfer' && (kind !== 'dataIn' || (header[1] ?? 0) % 2 === 1)
    const isUnsolicitedNop = kind === 'nopIn' && header.readUInt32BE(16) === 0xffffffff
    if (consumes && !isUnsolicitedNop) this.statSn = (this.statSn + 1) >>> 0
    return framePdu(header, { digests: this.#limits.digests, ...(data === undefined ? {} : { data }) })
  }

  raw(...parts: Uint8Array[]): void {
    if (this.socket.writable) for (const part of parts) this.socket.write(part)
  }

  drop(): void {
    this.socket.destroy()
  }

  /** What is on its way still arrives. */
  end(): void {
    this.socket.end()
  }

  status({ initiatorTaskTag }: ScriptedCommand, status: number, data?: Uint8Array): void {
    this.send('scsiResponse', { initiatorTaskTag, status }, data)
  }

  sense(command: ScriptedCommand, sense: Sense): void {
    const bytes = encodeFixedSense(sense)
    const data = Buffer.concat([Buffer.from([0, bytes.length]), bytes])
    this.status(command, scsiStatus.checkCondition, data)
  }

  /** One Data-In with status; `fields` may make it wrong. */
  answer(command: ScriptedCommand, bytes: Uint8Array, fields: Partial<Pdu<'dataIn'>> = {}): void {
    const { initiatorTaskTag, expectedDataTransferLength: asked } = command
    const sent = bytes.subarray(0, asked)
    const residual = sent.length < asked ? { underflow: true, residualCount: asked - sent.length } : {}
    this.send('dataIn', { initiatorTaskTag, final: true, hasStatus: true, ...residual, ...fields }, sent)
  }

  /** The target's own way with a command. */
  perform(command: ScriptedCommand): void {
    const { decoded } = command
    const { disk, serial, isRemoved } = this.#lun
    if (decoded?.kind === 'inquiry' && decoded.evpd !== true) {
      this.answer(
        command,
        encodeInquiry({ ...inquiry, qualifier: isRemoved ? 3 : 0, deviceType: isRemoved ? 0x1f : 0 }),
      )
      return
    }
    if (isRemoved) {
      this.sense(command, senses.lunNotSupported)
      return
    }
    switch (decoded?.kind) {
      case 'inquiry':
        if (decoded.page === 0) this.answer(command, encodeSupportedPages([0, 0x80, 0x83]))
        else if (decoded.page === 0x80) this.answer(command, encodeSerial(serial))
        else
          this.answer(
            command,
            encodeIdentification([naaDesignator(`6000${serial.length.toString(16).padStart(28, '0')}`)]),
          )
        break
      case 'read-capacity':
        this.answer(command, encodeCapacity16({ ...capacity, blocks: disk.length / blockBytes }))
        break
      case 'mode-sense':
        this.answer(command, Uint8Array.of(3, 0, 0, 0))
        break
      case 'report-luns':
        this.answer(command, encodeReportLuns([0]))
        break
      case 'test-unit-ready':
      case 'synchronize-cache':
        this.status(command, scsiStatus.good)
        break
      case 'read': {
        const end = (decoded.lba + decoded.blocks) * blockBytes
        if (end > disk.length) this.sense(command, senses.lbaOutOfRange)
        else this.answer(command, disk.subarray(decoded.lba * blockBytes, end))
        break
      }
      default:
        this.sense(command, senses.invalidOpcode)
    }
  }

  #take(header: Buffer, data: Buffer): void {
    if (!this.#isLoggedIn) {
      this.#takeLogin(header, data)
      return
    }
    if (this.#options.onRaw?.(this, header) === true) return
    const pdu = decodePdu(header)
    if ('cmdSn' in pdu && !('immediate' in pdu && pdu.immediate)) this.expCmdSn = (pdu.cmdSn + 1) >>> 0
    if (pdu.kind === 'scsiCommand') {
      const command = { ...pdu, decoded: decodeCdb(pdu.cdb) }
      this.#seen.push(command.decoded?.kind ?? 'unknown')
      if (this.#options.onCommand?.(this, command) !== true) this.#begin(command, data)
      return
    }
    this.#seen.push(pdu.kind)
    if (this.#options.onPdu?.(this, pdu, data) === true) return
    switch (pdu.kind) {
      case 'dataOut':
        this.#takeDataOut(pdu, data)
        break
      case 'nopOut':
        if (pdu.initiatorTaskTag !== 0xffffffff)
          this.send('nopIn', { initiatorTaskTag: pdu.initiatorTaskTag, targetTransferTag: 0xffffffff })
        break
      case 'textRequest':
        this.send(
          'textResponse',
          { final: true, initiatorTaskTag: pdu.initiatorTaskTag },
          encodeText([['TargetName', scriptedTargetName]]),
        )
        break
      case 'taskManagementRequest':
        this.send('taskManagementResponse', { initiatorTaskTag: pdu.initiatorTaskTag })
        break
      case 'logoutRequest':
        this.send('logoutResponse', { initiatorTaskTag: pdu.initiatorTaskTag })
        this.end()
        break
    }
  }

  #takeLogin(header: Buffer, data: Buffer): void {
    if (this.#options.onLogin?.(this, decodePduOf('loginRequest', header)) === true) return
    const answer = this.#login.receive(header, data)
    this.raw(...framePdu(answer.header, { data: answer.data }))
    if (answer.outcome === 'refused') this.end()
    if (answer.outcome !== 'established') return
    this.#isLoggedIn = true
    this.statSn = this.#login.statSn
    const { headerDigest, dataDigest } = this.#login.parameters
    this.#limits.digests = { header: headerDigest, data: dataDigest }
  }

  #begin(command: ScriptedCommand, immediate: Buffer): void {
    if (command.decoded?.kind !== 'write') {
      this.perform(command)
      return
    }
    const writing = { command, data: Buffer.alloc(command.expectedDataTransferLength), received: 0, r2tSn: 0 }
    immediate.copy(writing.data)
    writing.received = immediate.length
    this.#writing.set(command.initiatorTaskTag, writing)
    if (command.final) this.askForMore(writing)
  }

  /** R2T for the next burst, or the end of the write. */
  askForMore({ command, data, received, r2tSn }: Writing): void {
    const { initiatorTaskTag, decoded } = command
    if (received < data.length) {
      this.send('readyToTransfer', {
        initiatorTaskTag,
        targetTransferTag: 0x1000 + r2tSn,
        r2tSn,
        bufferOffset: received,
        desiredDataTransferLength: Math.min(this.#login.parameters.maxBurstLength, data.length - received),
      })
      return
    }
    this.#writing.delete(initiatorTaskTag)
    if (decoded?.kind === 'write') this.#lun.disk.set(data, decoded.lba * blockBytes)
    this.status(command, scsiStatus.good)
  }

  #takeDataOut(pdu: Pdu<'dataOut'>, data: Buffer): void {
    const writing = this.#writing.get(pdu.initiatorTaskTag)
    if (writing === undefined) return
    if (
      pdu.bufferOffset !== writing.received ||
      data.length > this.#login.parameters.maxRecvDataSegmentLength
    )
      throw new Error('The initiator sent what was not asked for')
    data.copy(writing.data, pdu.bufferOffset)
    writing.received += data.length
    if (!pdu.final) return
    if (pdu.targetTransferTag !== 0xffffffff) writing.r2tSn++
    this.askForMore(writing)
  }
}

const inquiry = {
  qualifier: 0,
  deviceType: 0,
  isRemovable: false,
  version: 6,
  tpgs: 0,
  hasThirdPartyCopy: false,
  hasCommandQueue: true,
  vendor: 'GANTRY',
  product: 'SCRIPTED',
  revision: '1',
  versionDescriptors: [],
}
const capacity = { blockBytes, physicalExponent: 0, lowestAligned: 0, isThin: false, readsZeros: false }
