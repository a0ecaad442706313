import type { CdbOf } from '#main/protocols/scsi/cdb.ts'
import { decodeUnmapList, encodeLbaStatus } from '#main/protocols/scsi/provisioning.ts'
import type { BlockExtent, LbaStatus } from '#main/protocols/scsi/provisioning.ts'
import { senses } from '#main/protocols/scsi/sense.ts'
import { scsiStatus } from '#main/protocols/scsi/status.ts'
import { limits } from './limits.ts'
import type { Done, LunFile } from './lun-file.ts'
import { answer, check, end, good, refuse, senseOfError } from './outcome.ts'
import type { Outcome, Plan } from './outcome.ts'

const blockBytes = 512
/** Of long work (WRITE SAME, VERIFY of a whole LUN) between two looks at whether it was aborted. */
const pieceBytes = 1024 * 1024

type Change = CdbOf<'write' | 'write-and-verify' | 'or-write' | 'compare-and-write' | 'write-same' | 'unmap'>

/** The commands that are about a LUN's blocks (SBC-3, chapter 5). */
export class LunBlocks {
  readonly #file: LunFile
  readonly #isThin: boolean
  readonly #sizeBytes: () => number

  constructor(file: LunFile, isThin: boolean, sizeBytes: () => number) {
    this.#file = file
    this.#isThin = isThin
    this.#sizeBytes = sizeBytes
  }

  read(cdb: CdbOf<'read'>): Plan {
    const refusal = this.#refusalOf(cdb)
    if (refusal !== undefined) return refusal
    return {
      kind: 'read',
      offset: cdb.lba * blockBytes,
      lengthBytes: cdb.blocks * blockBytes,
      isDurable: cdb.fua === true,
    }
  }

  change(cdb: Change): Plan {
    if (cdb.kind === 'unmap') return this.#unmap(cdb)
    const refusal = this.#refusalOf(cdb)
    if (refusal !== undefined) return refusal
    const offset = cdb.lba * blockBytes
    const lengthBytes = cdb.blocks * blockBytes
    switch (cdb.kind) {
      case 'write':
        return { kind: 'write', offset, lengthBytes, isDurable: cdb.fua === true }
      case 'write-and-verify':
        // What was written is on the medium then; it cannot differ from what was sent.
        return (cdb.byteCheck ?? 0) > 1
          ? refuse(senses.invalidFieldInCdb)
          : { kind: 'write', offset, lengthBytes, isDurable: true }
      case 'or-write':
        return this.#collect(lengthBytes, (data) => this.#orWrite(offset, data, cdb.fua === true))
      case 'compare-and-write':
        if (cdb.blocks > limits.compareAndWriteBlocks) return refuse(senses.invalidFieldInCdb)
        return this.#collect(2 * lengthBytes, (data) => this.#compareAndWrite(offset, data, cdb.fua === true))
      case 'write-same':
        return this.#writeSame(cdb)
      default:
        return refuse(senses.invalidOpcode)
    }
  }

  /** BYTCHK 0: the medium is read; 1: it is compared with data of the same length; 3: with one block. */
  verify(cdb: CdbOf<'verify'>): Plan {
    const refusal = this.#refusalOf(cdb)
    if (refusal !== undefined) return refusal
    const offset = cdb.lba * blockBytes
    const lengthBytes = cdb.blocks * blockBytes
    switch (cdb.byteCheck ?? 0) {
      case 0:
        return { kind: 'work', run: (isAborted) => this.#compare(offset, lengthBytes, undefined, isAborted) }
      case 1:
        return this.#collect(lengthBytes, (data, isAborted) =>
          this.#compare(offset, lengthBytes, data, isAborted),
        )
      case 3:
        return this.#collect(lengthBytes === 0 ? 0 : blockBytes, (data, isAborted) =>
          this.#compare(offset, lengthBytes, data, isAborted),
        )
      default:
        return refuse(senses.invalidFieldInCdb)
    }
  }

  prefetch(cdb: CdbOf<'prefetch'>): Plan {
    const { lba, blocks } = cdb
    if (!this.#isInside(lba, blocks)) return refuse(senses.lbaOutOfRange)
    return end({ status: scsiStatus.conditionMet })
  }

  synchronize(cdb: CdbOf<'synchronize-cache'>): Plan {
    if (!this.#isInside(cdb.lba, cdb.blocks)) return refuse(senses.lbaOutOfRange)
    return { kind: 'work', run: () => this.#flush() }
  }

  status(cdb: CdbOf<'get-lba-status'>): Plan {
    const size = this.#sizeBytes()
    if (cdb.lba * blockBytes >= size) return refuse(senses.lbaOutOfRange)
    const room = Math.max(1, Math.floor((cdb.allocationLength - 8) / 16))
    const extents: LbaStatus[] = []
    let offset = cdb.lba * blockBytes
    while (offset < size && extents.length < Math.min(room, limits.lbaStatusDescriptors)) {
      const { isHole, end: change } = this.#file.extentAt(offset)
      // A block that is a hole only in part is data.
      const until = Math.min(
        size,
        isHole ? Math.floor(change / blockBytes) * blockBytes : Math.ceil(change / blockBytes) * blockBytes,
      )
      const isDeallocated = this.#isThin && isHole && until > offset
      const next = until > offset ? until : offset + blockBytes
      const blocks = (next - offset) / blockBytes
      const state = isDeallocated ? 'deallocated' : 'mapped'
      extents.push({ lba: offset / blockBytes, blocks: Math.min(blocks, 0xffffffff), state })
      if (blocks > 0xffffffff) break
      offset = next
    }
    return answer(encodeLbaStatus(extents), cdb.allocationLength)
  }

  /** Blocks of the LUN to another place of it. A copy that fails has done a part of it. */
  copy(from: number, to: number, blocks: number, isAborted: () => boolean): Promise<Outcome> {
    if (!this.#isInside(from, blocks) || !this.#isInside(to, blocks))
      return Promise.resolve(check({ ...senses.copyTargetNotReachable, asc: 0, ascq: 0 }))
    return this.#changeAlone(async () => {
      const lengthBytes = blocks * blockBytes
      const piece = Buffer.alloc(Math.min(pieceBytes, lengthBytes))
      for (let at = 0; at < lengthBytes && !isAborted(); at += piece.length) {
        const count = Math.min(piece.length, lengthBytes - at)
        await settled((done) => this.#file.readLater(piece, 0, count, from * blockBytes + at, done))
        await settled((done) => this.#file.writeAlone(piece, 0, count, to * blockBytes + at, done))
      }
      return good
    })
  }

  #isInside(lba: number, blocks: number): boolean {
    return (lba + blocks) * blockBytes <= this.#sizeBytes()
  }

  /** Protection information is not there; a transfer is inside the LUN and not longer than told. */
  #refusalOf({
    lba,
    blocks,
    protect = 0,
    ...cdb
  }: Exclude<Change, { kind: 'unmap' }> | CdbOf<'verify' | 'read'>) {
    if (protect !== 0) return refuse(senses.invalidFieldInCdb)
    if (!this.#isInside(lba, blocks)) return refuse(senses.lbaOutOfRange)
    const isData = cdb.kind !== 'write-same' && !(cdb.kind === 'verify' && cdb.byteCheck !== 1)
    if (isData && blocks > limits.transferBlocks) return refuse(senses.invalidFieldInCdb)
    return undefined
  }

  #collect(lengthBytes: number, run: (data: Uint8Array, isAborted: () => boolean) => Promise<Outcome>): Plan {
    return {
      kind: 'collect',
      lengthBytes,
      isExact: true,
      run: (data, isAborted) => (lengthBytes === 0 ? good : run(data, isAborted)),
    }
  }

  #unmap(cdb: CdbOf<'unmap'>): Plan {
    if (!this.#isThin) return refuse(senses.invalidOpcode)
    if (cdb.anchor === true) return refuse(senses.invalidFieldInCdb)
    if (cdb.parameterLength === 0) return end(good)
    if (cdb.parameterLength < 8) return refuse(senses.parameterListLength)
    return {
      kind: 'collect',
      lengthBytes: cdb.parameterLength,
      run: (list, isAborted) => {
        let extents: BlockExtent[]
        try {
          extents = decodeUnmapList(list)
        } catch {
          return check(senses.parameterListLength)
        }
        if (extents.length > limits.unmapDescriptors) return check(senses.invalidFieldInParameters)
        if (extents.some(({ lba, blocks }) => !this.#isInside(lba, blocks)))
          return check(senses.lbaOutOfRange)
        return this.#changeAlone(async () => {
          for (const { lba, blocks } of extents) {
            if (isAborted()) break
            if (blocks > 0) await this.#file.punch(lba * blockBytes, blocks * blockBytes)
          }
          return good
        })
      },
    }
  }

  #writeSame(cdb: CdbOf<'write-same'>): Plan {
    if (cdb.anchor === true || (cdb.unmap === true && !this.#isThin)) return refuse(senses.invalidFieldInCdb)
    const offset = cdb.lba * blockBytes
    const lengthBytes = cdb.blocks === 0 ? this.#sizeBytes() - offset : cdb.blocks * blockBytes
    if (cdb.noDataOut === true) {
      const zeros = new Uint8Array(blockBytes)
      return {
        kind: 'work',
        run: (isAborted) => this.#fill(offset, lengthBytes, zeros, cdb.unmap === true, isAborted),
      }
    }
    return this.#collect(blockBytes, (block, isAborted) =>
      this.#fill(offset, lengthBytes, block, cdb.unmap === true, isAborted),
    )
  }

  /** Blocks are given back only where they then read as what was sent: as zeros. */
  #fill(
    offset: number,
    lengthBytes: number,
    block: Uint8Array,
    mayUnmap: boolean,
    isAborted: () => boolean,
  ): Promise<Outcome> {
    return this.#changeAlone(async () => {
      if (mayUnmap && block.every((byte) => byte === 0)) {
        await this.#file.punch(offset, lengthBytes)
        return good
      }
      const piece = new Uint8Array(Math.min(pieceBytes, lengthBytes))
      for (let at = 0; at < piece.length; at += blockBytes) piece.set(block, at)
      for (let at = 0; at < lengthBytes && !isAborted(); at += piece.length) {
        const count = Math.min(piece.length, lengthBytes - at)
        await settled((done) => this.#file.writeAlone(piece, 0, count, offset + at, done))
      }
      return good
    })
  }

  #orWrite(offset: number, data: Uint8Array, isDurable: boolean): Promise<Outcome> {
    return this.#changeAlone(async () => {
      const there = new Uint8Array(data.length)
      await settled((done) => this.#file.readLater(there, 0, there.length, offset, done))
      for (const [at, byte] of data.entries()) there[at] = (there[at] ?? 0) | byte
      await settled((done) => this.#file.writeAlone(there, 0, there.length, offset, done))
      return isDurable ? this.#flush() : good
    })
  }

  #compareAndWrite(offset: number, data: Uint8Array, isDurable: boolean): Promise<Outcome> {
    return this.#changeAlone(async () => {
      const half = data.length / 2
      const there = new Uint8Array(half)
      await settled((done) => this.#file.readLater(there, 0, half, offset, done))
      const differs = firstDifference(there, data.subarray(0, half))
      if (differs !== undefined) return check({ ...senses.miscompare, information: BigInt(differs) })
      await settled((done) => this.#file.writeAlone(data, half, half, offset, done))
      return isDurable ? this.#flush() : good
    })
  }

  async #compare(
    offset: number,
    lengthBytes: number,
    expected: Uint8Array | undefined,
    isAborted: () => boolean,
  ): Promise<Outcome> {
    const there = new Uint8Array(Math.min(pieceBytes, lengthBytes))
    try {
      for (let at = 0; at < lengthBytes && !isAborted(); at += there.length) {
        const count = Math.min(there.length, lengthBytes - at)
        await settled((done) => this.#file.readLater(there, 0, count, offset + at, done))
        if (expected === undefined) continue
        const step = expected.length === lengthBytes ? count : blockBytes
        for (let part = 0; part < count; part += step) {
          const wanted = expected.length === lengthBytes ? expected.subarray(at, at + count) : expected
          const differs = firstDifference(there.subarray(part, part + step), wanted)
          if (differs !== undefined)
            return check({ ...senses.miscompare, information: BigInt(at + part + differs) })
        }
      }
      return good
    } catch (error) {
      return check(senseOfError(error as NodeJS.ErrnoException, false))
    }
  }

  async #flush(): Promise<Outcome> {
    try {
      await settled((done) => this.#file.flush(done))
      return good
    } catch (error) {
      return check(senseOfError(error as NodeJS.ErrnoException, true))
    }
  }

  async #changeAlone(work: () => Promise<Outcome>): Promise<Outcome> {
    try {
      return await this.#file.alone(work)
    } catch (error) {
      return check(senseOfError(error as NodeJS.ErrnoException, true))
    }
  }
}

const settled = (start: (done: Done) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    start((error) => {
      if (error === undefined) resolve()
      else reject(error)
    })
  })

function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  if (a.length === b.length && Buffer.compare(a, b) === 0) return undefined
  for (const [at, byte] of a.entries()) if (byte !== b[at]) return at
  return undefined
}
