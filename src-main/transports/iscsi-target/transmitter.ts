import { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { crc32c as nativeCrc32c } from '@node-rs/crc32'
import { crc32c } from '#main/protocols/crc/crc32c.ts'
import { noDigests, paddingOf, setLengths, writeDigest } from '#main/protocols/iscsi/frame.ts'
import type { Digests } from '#main/protocols/iscsi/frame.ts'
import { bhsBytes, digestBytes } from '#main/protocols/iscsi/opcodes.ts'
import { limits } from './limits.ts'

interface Slab {
  readonly bytes: Buffer
  /** Batches that the system has not taken yet. */
  underWay: number
}

interface Piece {
  readonly bytes: Buffer
  readonly slab: Slab | undefined
  /** Memory of {@link Transmitter.memoryFor} that is free when it is taken. */
  readonly whole?: Buffer
}

const pduRoom = bhsBytes + limits.segmentBytes + 4 + 2 * digestBytes
const slabBytes = 2 * pduRoom
/** What a connection keeps to use it again. */
const keptSlabs = 6
const keptWholes = 12
const pooledBytes = 64 * 1024
/** From this much on what is made goes out at once: its memory is used again while it is still in the CPU's cache. */
const batchBytes = limits.segmentBytes

/**
 * What a connection sends. PDUs are made where they are sent from: {@link begin} gives the place, the data are read
 * right behind the header, {@link end} closes it. Everything made in one turn goes out with one call.
 */
export class Transmitter {
  digests: Digests = noDigests
  /** Where PDUs are made; valid from {@link begin} to {@link end}. */
  bytes: Buffer = Buffer.alloc(0)
  readonly #socket: Socket
  readonly #onSent: () => void
  #slab: Slab | undefined
  #start = 0
  #end = 0
  readonly #free: Slab[] = []
  readonly #wholes: Buffer[] = []
  #queue: Piece[] = []
  #queuedBytes = 0
  #unsentBytes = 0

  /** @param onSent called after the system has taken something */
  constructor(socket: Socket, onSent: () => void) {
    this.#socket = socket
    this.#onSent = onSent
  }

  /** What is made and not taken by the system yet. */
  get unsentBytes(): number {
    return this.#unsentBytes + (this.#end - this.#start)
  }

  /** Counts data that are being read for this connection; call it again with the negative when they are there. */
  expect(lengthBytes: number): void {
    this.#unsentBytes += lengthBytes
  }

  /** Where the data segment of the PDU at `offset` goes. */
  dataAt(offset: number): number {
    return offset + bhsBytes + (this.digests.header ? digestBytes : 0)
  }

  /** Bytes on the wire of a PDU with that much data, at most. */
  sizeOf(dataBytes: number): number {
    return bhsBytes + dataBytes + 3 + 2 * digestBytes
  }

  /** A place for a PDU with up to that much data: its offset in {@link bytes}; the header is zeros. */
  begin(dataBytes: number): number {
    const need = this.sizeOf(dataBytes)
    if (this.bytes.length - this.#end < need) this.#nextSlab(need)
    this.bytes.fill(0, this.#end, this.#end + bhsBytes)
    return this.#end
  }

  /** The PDU at the last {@link begin} is complete but for its lengths, padding and digests. */
  end(dataBytes: number): void {
    this.#end = this.#seal(this.bytes, this.#end, dataBytes)
  }

  /** Memory of its own for a PDU whose data take their time; the header is zeros. For {@link send}. */
  memoryFor(dataBytes: number): Buffer {
    const bytes =
      dataBytes < pooledBytes
        ? Buffer.allocUnsafe(this.sizeOf(dataBytes))
        : (this.#wholes.pop() ?? Buffer.allocUnsafeSlow(pduRoom))
    return bytes.fill(0, 0, bhsBytes)
  }

  /** As {@link end}, for a PDU in memory of {@link memoryFor}. */
  send(bytes: Buffer, dataBytes: number): void {
    const length = this.#seal(bytes, 0, dataBytes)
    this.#closePiece()
    this.#queue.push({ bytes: bytes.subarray(0, length), slab: undefined, whole: bytes })
    this.#queuedBytes += length
    this.#unsentBytes += length
  }

  /** Hands everything to the system. */
  flush(): void {
    this.#closePiece()
    const queue = this.#queue
    if (queue.length === 0) return
    this.#queue = []
    this.#queuedBytes = 0
    for (const { slab } of queue) if (slab !== undefined) slab.underWay++
    let isTaken = false
    const taken = (): void => {
      if (isTaken) return
      isTaken = true
      for (const piece of queue) this.#taken(piece)
    }
    const last = queue.length - 1
    if (last > 0) this.#socket.cork()
    for (const [index, { bytes }] of queue.entries())
      this.#socket.write(
        bytes,
        index < last
          ? undefined
          : () => {
              taken()
              this.#onSent()
            },
      )
    if (last > 0) this.#socket.uncork()
    // The system had room for all of it; that the callback comes later tells nothing new.
    if (this.#socket.writableLength === 0) taken()
  }

  /** As {@link flush}, when much is waiting. */
  flushMuch(): void {
    if (this.#queuedBytes + this.#end - this.#start >= batchBytes) this.flush()
  }

  #taken({ bytes, slab, whole }: Piece): void {
    this.#unsentBytes -= bytes.length
    if (whole?.length === pduRoom && this.#wholes.length < keptWholes) this.#wholes.push(whole)
    if (slab === undefined || --slab.underWay > 0) return
    if (slab === this.#slab) {
      if (this.#start === this.#end && this.#queue.length === 0) this.#start = this.#end = 0
    } else if (this.#free.length < keptSlabs) this.#free.push(slab)
  }

  #seal(bytes: Buffer, offset: number, dataBytes: number): number {
    setLengths(bytes, 0, dataBytes, offset)
    if (this.digests.header)
      writeDigest(bytes, offset + bhsBytes, crc32c(bytes.subarray(offset, offset + bhsBytes)))
    const data = this.dataAt(offset)
    if (dataBytes === 0) return data
    const end = data + dataBytes + paddingOf(dataBytes)
    bytes.fill(0, data + dataBytes, end)
    if (!this.digests.data) return end
    writeDigest(bytes, end, nativeCrc32c(bytes.subarray(data, end)))
    return end + digestBytes
  }

  #closePiece(): void {
    if (this.#end === this.#start) return
    const bytes = this.bytes.subarray(this.#start, this.#end)
    this.#queue.push({ bytes, slab: this.#slab })
    this.#queuedBytes += bytes.length
    this.#unsentBytes += bytes.length
    this.#start = this.#end
  }

  #nextSlab(need: number): void {
    this.#closePiece()
    const left = this.#slab
    const isIdle = left !== undefined && left.underWay === 0 && this.#queue.every(({ slab }) => slab !== left)
    if (!isIdle || left.bytes.length < need)
      this.#slab = this.#free.pop() ?? {
        bytes: Buffer.allocUnsafeSlow(Math.max(slabBytes, need)),
        underWay: 0,
      }
    this.bytes = this.#slab?.bytes ?? this.bytes
    this.#start = this.#end = 0
  }
}
