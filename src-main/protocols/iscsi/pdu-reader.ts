import { Buffer } from 'node:buffer'
import type { Crc32 } from '../crc/slicing.ts'
import { crc32c } from '../crc/crc32c.ts'
import { noBytes, paddingOf } from './frame.ts'
import type { Digests } from './frame.ts'
import { malformed } from './malformed.ts'
import { ahsMaxBytes, at, bhsBytes, digestBytes } from './opcodes.ts'

/** What takes the PDUs of a {@link PduReader}. What it throws comes out of {@link PduReader.take}; the connection is over then. */
export interface PduReceiver {
  /**
   * A header is complete and its digest right; a data segment of `dataBytes` (1 or more) follows. Returns whether it
   * set {@link PduReader.into} to where the data go; otherwise the reader keeps them until {@link onPdu}.
   * @param header valid during the call; the 48 bytes stand at `offset`, `ahsBytes` of AHS follow them
   */
  onHeader(header: Buffer, offset: number, ahsBytes: number, dataBytes: number): boolean
  /**
   * A PDU is complete, its digests right.
   * @param header as in {@link onHeader}
   * @param data the data segment when the reader kept it (valid during the call), else no bytes
   * @param dataBytes of the segment wherever it went
   */
  onPdu(header: Buffer, offset: number, ahsBytes: number, data: Buffer, dataBytes: number): void
}

/** What the checks before any use allow; from negotiation. */
export interface ReaderLimits {
  /** MaxRecvDataSegmentLength of this side. */
  maxDataBytes: number
  digests: Digests
}

const stagingBytes = 256 * 1024
/** From this many bytes to come on, a data segment is read where it belongs; fewer are copied from the staging buffer. */
const directBytes = 16 * 1024
/** Where long data segments come, little is read with a header: the rest is read where it belongs. */
const shortStagingBytes = 4 * 1024
const bulkBytes = 64 * 1024
const tailMaxBytes = 3 + digestBytes

const inHeader = 0
const inData = 1
const inTail = 2

/**
 * Cuts what a connection brings into PDUs, for either side. Nothing is joined: a PDU that lies whole in what was read
 * is handed on where it lies, a long data segment is read straight to where it belongs. Ask {@link readBuffer} where
 * to read, hand what came to {@link take}. No length is used before it was held against its limit; at most one PDU is
 * kept. Errors of {@link take}: device-rejected (a length over the limit, a wrong digest; `digest` in its facts says
 * which) and what the receiver throws. The reader can't be used after one.
 */
export class PduReader {
  /** For {@link PduReceiver.onHeader}: where the data segment goes. */
  into: Buffer = noBytes
  intoOffset = 0

  readonly #receiver: PduReceiver
  readonly #limits: ReaderLimits
  readonly #crc: Crc32
  #staging: Buffer | undefined
  #shortStaging: Buffer | undefined
  /** The last data segment was a long one. */
  #isBulk = false
  /** The part of the destination that was given out to read into. */
  #direct: Buffer | undefined

  #state = inHeader
  /** A header that did not come in one piece, or whose PDU did not. */
  readonly #own = Buffer.alloc(bhsBytes + ahsMaxBytes + digestBytes)
  #ownFilled = 0
  #header: Buffer = noBytes
  #headerOffset = 0
  #ahsBytes = 0
  #dataBytes = 0
  #dataFilled = 0
  #isKept = false
  #hasDigest = false
  #sum = 0
  readonly #tail = Buffer.alloc(tailMaxBytes)
  #tailFilled = 0

  /** @param crc of data segments; a native one where much is received. `limits` may be changed between PDUs. */
  constructor(receiver: PduReceiver, limits: ReaderLimits, crc: Crc32 = crc32c) {
    this.#receiver = receiver
    this.#limits = limits
    this.#crc = crc
  }

  /** Where the next bytes are to be read; valid until the next {@link take}. */
  readBuffer(): Buffer {
    const left = this.#dataBytes - this.#dataFilled
    if (this.#state === inData && left >= directBytes) {
      const start = this.intoOffset + this.#dataFilled
      return (this.#direct = this.into.subarray(start, start + left))
    }
    this.#staging ??= Buffer.allocUnsafeSlow(stagingBytes)
    if (!this.#isBulk) return this.#staging
    return (this.#shortStaging ??= this.#staging.subarray(0, shortStagingBytes))
  }

  /** Whether the connection may end here: no PDU is half received. */
  get isBetweenPdus(): boolean {
    return this.#state === inHeader && this.#ownFilled === 0
  }

  /** @param buffer what {@link readBuffer} gave, or any other bytes */
  take(buffer: Buffer, length = buffer.length): void {
    if (buffer === this.#direct) {
      this.#direct = undefined
      if (this.#hasDigest) this.#sum = this.#crc(buffer.subarray(0, length), this.#sum)
      this.#dataFilled += length
      if (this.#dataFilled === this.#dataBytes) this.#beginTail()
      return
    }
    let position = 0
    while (position < length) {
      if (this.#state === inHeader) position = this.#takeHeader(buffer, position, length)
      else if (this.#state === inData) position = this.#takeData(buffer, position, length)
      else position = this.#takeTail(buffer, position, length)
    }
    if (this.#state !== inHeader && this.#header !== this.#own) this.#keepHeader()
  }

  #takeHeader(buffer: Buffer, position: number, length: number): number {
    const digestLength = this.#limits.digests.header ? digestBytes : 0
    if (this.#ownFilled === 0 && length - position >= bhsBytes) {
      this.#checkLength(buffer, position)
      const ahsBytes = (buffer[position + at.totalAhsLength] ?? 0) * 4
      const total = bhsBytes + ahsBytes + digestLength
      if (length - position >= total) {
        this.#header = buffer
        this.#headerOffset = position
        return this.#beginPdu(ahsBytes, buffer, position + total, length)
      }
    }
    let need = bhsBytes
    if (this.#ownFilled >= bhsBytes) need += (this.#own[at.totalAhsLength] ?? 0) * 4 + digestLength
    const count = Math.min(need - this.#ownFilled, length - position)
    buffer.copy(this.#own, this.#ownFilled, position, position + count)
    this.#ownFilled += count
    const next = position + count
    if (this.#ownFilled < need) return next
    if (need === bhsBytes) this.#checkLength(this.#own, 0)
    const ahsBytes = (this.#own[at.totalAhsLength] ?? 0) * 4
    if (this.#ownFilled < bhsBytes + ahsBytes + digestLength) return next
    this.#ownFilled = 0
    this.#header = this.#own
    this.#headerOffset = 0
    return this.#beginPdu(ahsBytes, buffer, next, length)
  }

  /** At once, before an AHS is waited for: bytes that are no PDU are found here most of the time. */
  #checkLength(header: Buffer, offset: number): void {
    const { maxDataBytes } = this.#limits
    const dataBytes = header.readUIntBE(offset + at.dataSegmentLength, 3)
    if (dataBytes > maxDataBytes)
      throw malformed('DataSegmentLength', at.dataSegmentLength, `at most ${maxDataBytes}`, dataBytes)
  }

  /** The header is whole; what follows it begins at `position` of `buffer`. Returns from where to go on. */
  #beginPdu(ahsBytes: number, buffer: Buffer, position: number, length: number): number {
    const header = this.#header
    const offset = this.#headerOffset
    const { digests } = this.#limits
    if (digests.header) {
      const end = offset + bhsBytes + ahsBytes
      const sum = crc32c(header.subarray(offset, end))
      if (header.readUInt32LE(end) !== sum) throw wrongDigest('header', sum, header.readUInt32LE(end))
    }
    const dataBytes = header.readUIntBE(offset + at.dataSegmentLength, 3)
    this.#ahsBytes = ahsBytes
    this.#dataBytes = dataBytes
    if (dataBytes === 0) {
      this.#receiver.onPdu(header, offset, ahsBytes, noBytes, 0)
      return position
    }
    this.#dataFilled = 0
    this.#sum = 0
    this.#isBulk = dataBytes >= bulkBytes
    this.#hasDigest = digests.data
    this.#isKept = !this.#receiver.onHeader(header, offset, ahsBytes, dataBytes)
    this.#state = inData
    if (this.#isKept) {
      const total = dataBytes + this.#tailBytes()
      if (length - position >= total) {
        this.into = buffer
        this.intoOffset = position
        if (this.#hasDigest) this.#sum = this.#crc(buffer.subarray(position, position + dataBytes))
        this.#beginTail()
        return position + dataBytes
      }
      this.into = Buffer.allocUnsafe(dataBytes)
      this.intoOffset = 0
    } else if (this.intoOffset + dataBytes > this.into.length) {
      throw malformed('data segment', at.dataSegmentLength, 'what its destination holds', dataBytes)
    }
    return position
  }

  #takeData(buffer: Buffer, position: number, length: number): number {
    const count = Math.min(this.#dataBytes - this.#dataFilled, length - position)
    const end = position + count
    buffer.copy(this.into, this.intoOffset + this.#dataFilled, position, end)
    if (this.#hasDigest) this.#sum = this.#crc(buffer.subarray(position, end), this.#sum)
    this.#dataFilled += count
    if (this.#dataFilled === this.#dataBytes) this.#beginTail()
    return end
  }

  #tailBytes(): number {
    return paddingOf(this.#dataBytes) + (this.#hasDigest ? digestBytes : 0)
  }

  #beginTail(): void {
    this.#tailFilled = 0
    this.#state = inTail
    if (this.#tailBytes() === 0) this.#finishPdu()
  }

  #takeTail(buffer: Buffer, position: number, length: number): number {
    const need = this.#tailBytes()
    const count = Math.min(need - this.#tailFilled, length - position)
    buffer.copy(this.#tail, this.#tailFilled, position, position + count)
    this.#tailFilled += count
    if (this.#tailFilled < need) return position + count
    if (this.#hasDigest) {
      const padding = paddingOf(this.#dataBytes)
      const sum = padding === 0 ? this.#sum : this.#crc(this.#tail.subarray(0, padding), this.#sum)
      const found = this.#tail.readUInt32LE(padding)
      if (found !== sum) throw wrongDigest('data', sum, found)
    }
    this.#finishPdu()
    return position + count
  }

  #finishPdu(): void {
    this.#state = inHeader
    const data = this.#isKept
      ? this.into.subarray(this.intoOffset, this.intoOffset + this.#dataBytes)
      : noBytes
    this.into = noBytes
    this.#receiver.onPdu(this.#header, this.#headerOffset, this.#ahsBytes, data, this.#dataBytes)
  }

  /** The bytes that were read go away with the next read, the PDU is not complete yet. */
  #keepHeader(): void {
    this.#header.copy(this.#own, 0, this.#headerOffset, this.#headerOffset + bhsBytes + this.#ahsBytes)
    this.#header = this.#own
    this.#headerOffset = 0
  }
}

function wrongDigest(part: 'header' | 'data', expected: number, found: number): Error {
  return malformed(`${part} digest`, 0, `0x${expected.toString(16)}`, `0x${found.toString(16)}`)
}
