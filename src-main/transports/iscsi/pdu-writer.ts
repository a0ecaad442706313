import type { Socket } from 'node:net'
import { noDigests, paddingOf, setLengths, writeDigest } from '#main/protocols/iscsi/frame.ts'
import type { Digests } from '#main/protocols/iscsi/frame.ts'
import { bhsBytes, digestBytes } from '#main/protocols/iscsi/opcodes.ts'
import { crc32c } from '#main/protocols/crc/crc32c.ts'
import { crc32c as nativeCrc32c } from '@node-rs/crc32'

const slabBytes = 64 * 1024
/** Data up to this length is copied beside its header: cheaper than a part of its own in the writev. */
const copiedBytes = 4096
const frameMaxBytes = bhsBytes + digestBytes + copiedBytes + 3 + digestBytes

/**
 * Collects the PDUs of one turn and hands them to the socket in one writev. Headers stand in slabs that are never
 * used twice; long data are not copied and must not change until the task they belong to has ended.
 *
 *     const at = writer.begin(template)
 *     writer.slab.writeUInt32BE(itt, at + 16)
 *     writer.end(data)
 */
export class PduWriter {
  /** Where the header stands that {@link begin} has begun. */
  slab: Buffer = Buffer.allocUnsafeSlow(slabBytes)
  digests: Digests = noDigests

  readonly #socket: Socket
  #at = 0
  #used = 0
  /** Where the part of the slab begins that is not among the parts yet. */
  #from = 0
  #parts: Buffer[] = []

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** @returns the offset in {@link slab} of the 48 bytes, a copy of `template` */
  begin(template: Uint8Array): number {
    if (this.#used + frameMaxBytes > slabBytes) {
      this.#closePart()
      this.slab = Buffer.allocUnsafeSlow(slabBytes)
      this.#used = 0
      this.#from = 0
    }
    this.#at = this.#used
    this.slab.set(template, this.#at)
    this.#used += bhsBytes
    return this.#at
  }

  /** Sets the lengths and digests, and adds `data[from, to)` as data segment. */
  end(data?: Buffer, from = 0, to = data?.length ?? 0): void {
    const { slab } = this
    const lengthBytes = to - from
    setLengths(slab, 0, lengthBytes, this.#at)
    if (this.digests.header) {
      writeDigest(slab, this.#used, crc32c(slab.subarray(this.#at, this.#used)))
      this.#used += digestBytes
    }
    if (data === undefined || lengthBytes === 0) return
    if (lengthBytes <= copiedBytes) {
      data.copy(slab, this.#used, from, to)
      this.#used += lengthBytes
    } else {
      this.#closePart()
      this.#parts.push(from === 0 && to === data.length ? data : data.subarray(from, to))
    }
    const padding = paddingOf(lengthBytes)
    slab.fill(0, this.#used, this.#used + padding)
    if (this.digests.data) {
      let sum = nativeCrc32c(data.subarray(from, to))
      if (padding > 0) sum = crc32c(slab.subarray(this.#used, this.#used + padding), sum)
      writeDigest(slab, this.#used + padding, sum)
      this.#used += digestBytes
    }
    this.#used += padding
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0 && this.#used === this.#from
  }

  flush(): void {
    if (this.isEmpty) return
    this.#closePart()
    const parts = this.#parts
    this.#parts = []
    const [first] = parts
    if (parts.length === 1 && first !== undefined) {
      this.#socket.write(first)
      return
    }
    this.#socket.cork()
    for (const part of parts) this.#socket.write(part)
    this.#socket.uncork()
  }

  #closePart(): void {
    if (this.#used > this.#from) this.#parts.push(this.slab.subarray(this.#from, this.#used))
    this.#from = this.#used
  }
}
