import { AppError } from '#shared/errors/app-error.ts'
import { MiB } from '#shared/units/bytes.ts'
import { encodeCdb } from '#main/protocols/scsi/cdb.ts'
import { put } from '#main/protocols/scsi/fields.ts'
import { encodeLun } from '#main/protocols/scsi/luns.ts'
import { decodeLbaStatus, encodeUnmapList } from '#main/protocols/scsi/provisioning.ts'
import type { LbaStatus } from '#main/protocols/scsi/provisioning.ts'
import { isSense, senseKey, senses } from '#main/protocols/scsi/sense.ts'
import type { Sense } from '#main/protocols/scsi/sense.ts'
import { scsiStatus } from '#main/protocols/scsi/status.ts'
import { requireBlocks } from '../block/block-range.ts'
import { Commander } from './commander.ts'
import type { Command } from './commander.ts'
import { copyBlocks } from './extended-copy.ts'
import { isUnsupported, query, readFacts } from './lun-facts.ts'
import type { LunFacts } from './lun-facts.ts'
import { differenceFrom, undisturbed } from './lun-identity.ts'
import { Nexus } from './nexus.ts'
import type { NexusOptions } from './nexus.ts'
import { LunReservations } from './reservations.ts'
import { Session } from './session.ts'
import type { Task } from './task.ts'

export interface LunOptions extends NexusOptions {
  readonly targetName: string
  readonly lun: number
  /** Default: "LUN 1 of iqn...". */
  readonly name?: string
  readonly readOnly?: boolean
}

const largestTransferBytes = MiB
const largestBlocks10 = 0xffff
const largestWriteSameBytes = 64 * MiB
const lbaStatusBytes = 8 + 16 * 1024

/**
 * A LUN over a session of its own. Ranges are bytes, whole blocks inside it. It stays the one that was opened: a LUN
 * that was replaced, resized or removed under it is stale for good. Errors as BlockDevice.
 */
export class Lun {
  readonly name: string
  readonly facts: LunFacts
  readonly isReadOnly: boolean
  readonly reservations: LunReservations

  readonly #nexus: Nexus
  readonly #commander: Commander
  readonly #number: Uint8Array
  #stale: AppError | undefined
  #nextListId = 0
  /** Counted when something that changes data begins, and when it ends. */
  #changes = 0
  /** Those of the changes that are flushed. */
  #flushed = 0
  /** Losses of the session up to which everything that was written is known to be safe. */
  #safeLosses = 0

  static async open(options: LunOptions, signal: AbortSignal): Promise<Lun> {
    const session = await Session.open(options, signal)
    const object = options.name ?? `LUN ${options.lun} of ${options.targetName}`
    try {
      return new Lun(
        options,
        object,
        session,
        await undisturbed(session, encodeLun(options.lun), object, (commander) =>
          readFacts(commander, object, signal),
        ),
      )
    } catch (error) {
      await session.close()
      throw error
    }
  }

  private constructor(options: LunOptions, object: string, session: Session, facts: LunFacts) {
    this.name = object
    this.facts = facts
    this.isReadOnly = options.readOnly === true || facts.isWriteProtected
    this.#number = encodeLun(options.lun)
    this.#nexus = new Nexus(options, session, async (fresh, signal) => this.#verify(fresh, signal))
    this.#commander = new Commander({
      object,
      lun: this.#number,
      sessions: this.#nexus,
      onAttention: (current, sense, signal) => this.#onAttention(current, sense, signal),
    })
    this.reservations = new LunReservations(this.#commander)
  }

  get blockBytes(): number {
    return this.facts.capacity.blockBytes
  }
  get sizeBytes(): number {
    return this.facts.capacity.blocks * this.blockBytes
  }
  get canUnmap(): boolean {
    const { hasUnmap, hasWriteSame16Unmap } = this.facts.provisioning
    return !this.isReadOnly && (hasUnmap || hasWriteSame16Unmap)
  }
  get canCompareAndWrite(): boolean {
    return !this.isReadOnly && this.facts.limits.maxCompareAndWriteBlocks > 0
  }
  get canCopy(): boolean {
    return !this.isReadOnly && this.facts.inquiry.hasThirdPartyCopy
  }

  /** `into` is filled whole. */
  async readInto(offset: number, into: Buffer, signal?: AbortSignal): Promise<void> {
    this.requireRange(offset, into.length)
    const single = this.#transferBytes
    if (into.length <= single) {
      if (into.length > 0) await this.#readOnce(offset, into, signal)
      return
    }
    await this.#inParts(into, (part, at) => this.#readOnce(offset + at, part, signal))
  }

  async write(offset: number, bytes: Buffer, signal?: AbortSignal): Promise<void> {
    this.requireWritable(offset, bytes.length)
    if (bytes.length <= this.#transferBytes) {
      if (bytes.length > 0) await this.#writeOnce(offset, bytes, signal)
      return
    }
    await this.#inParts(bytes, (part, at) => this.#writeOnce(offset + at, part, signal))
  }

  /**
   * SYNCHRONIZE CACHE of the whole LUN. After a lost session it can't vouch for what was written before the loss and
   * not flushed (the target may have been switched off): unreachable, `effect: unknown`, once.
   */
  async flush(signal?: AbortSignal): Promise<void> {
    this.#throwIfStale()
    if (this.isReadOnly) return
    const losses = this.#nexus.losses
    const changes = this.#changes
    const isAtRisk = changes !== this.#flushed
    const safeLosses = this.#safeLosses
    try {
      const cdb = encodeCdb({ kind: 'synchronize-cache', length: 10, lba: 0, blocks: 0 })
      await this.#commander.run({ what: 'flush', cdb, changes: false }, signal)
    } catch (error) {
      // A device without the command has no cache that it would need it for.
      if (!isUnsupported(error)) throw error
    }
    this.#flushed = Math.max(this.#flushed, changes)
    // What was written during the flush may be lost with the session too: that is for the next one to tell.
    const isQuiet = this.#changes === changes
    this.#safeLosses = Math.max(this.#safeLosses, isQuiet ? this.#nexus.losses : losses)
    if (isAtRisk && this.#nexus.losses !== safeLosses)
      throw new AppError(
        'unreachable',
        'The session was lost after something was written that was not flushed yet',
        {
          object: this.name,
          effect: 'unknown',
          advice: 'Write again what was written since the last flush: the array may have lost it.',
        },
      )
  }

  async unmap(offset: number, lengthBytes: number, signal?: AbortSignal): Promise<void> {
    this.requireWritable(offset, lengthBytes)
    const { provisioning, limits } = this.facts
    if (!provisioning.hasUnmap && !provisioning.hasWriteSame16Unmap) throw this.#unsupported('UNMAP')
    const most = limits.maxUnmapBlocks === 0 ? 0xffff_ffff : limits.maxUnmapBlocks
    for (const { lba, blocks } of this.#extents(offset, lengthBytes, most)) {
      if (provisioning.hasUnmap) {
        const out = Buffer.from(encodeUnmapList([{ lba, blocks }]))
        const cdb = encodeCdb({ kind: 'unmap', parameterLength: out.length })
        await this.#change({ what: 'unmap', cdb, out }, signal)
      } else {
        const cdb = encodeCdb({ kind: 'write-same', length: 16, lba, blocks, unmap: true })
        await this.#change({ what: 'unmap', cdb, out: Buffer.alloc(this.blockBytes) }, signal)
      }
    }
  }

  /** One block's bytes in every block of the range. Throws not-supported when the device cannot. */
  async writeSame(offset: number, lengthBytes: number, block: Buffer, signal?: AbortSignal): Promise<void> {
    this.requireWritable(offset, lengthBytes)
    if (block.length !== this.blockBytes)
      throw new AppError('bad-request', `The block has ${block.length} bytes, not ${this.blockBytes}`, {
        object: this.name,
      })
    const { maxWriteSameBlocks } = this.facts.limits
    const ours = largestWriteSameBytes / this.blockBytes
    const most = maxWriteSameBlocks === 0 ? ours : Math.min(maxWriteSameBlocks, ours)
    for (const { lba, blocks } of this.#extents(offset, lengthBytes, most)) {
      const cdb = encodeCdb({ kind: 'write-same', length: 16, lba, blocks })
      await this.#change({ what: 'write same', cdb, out: block }, signal)
    }
  }

  /** As IscsiDevice.copy. */
  async copy(from: number, to: number, lengthBytes: number, signal?: AbortSignal): Promise<void> {
    this.requireRange(from, lengthBytes)
    this.requireWritable(to, lengthBytes)
    if (Math.abs(from - to) < lengthBytes)
      throw new AppError('bad-request', 'The blocks and their copy overlap', { object: this.name })
    const inBlocks = (bytes: number): number => bytes / this.blockBytes
    const listId = this.#nextListId
    this.#nextListId = (listId + 1) & 0xff
    const range = { listId, from: inBlocks(from), to: inBlocks(to), blocks: inBlocks(lengthBytes) }
    const change = (command: Omit<Command, 'changes'>): Promise<Task> => this.#change(command, signal)
    await copyBlocks(this.#commander, change, this.blockBytes, range, signal)
  }

  /** Which blocks are mapped, from `offset` on for `lengthBytes`. Throws not-supported when the device cannot tell. */
  async getLbaStatus(offset: number, lengthBytes: number, signal?: AbortSignal): Promise<LbaStatus[]> {
    this.requireRange(offset, lengthBytes)
    const end = (offset + lengthBytes) / this.blockBytes
    const found: LbaStatus[] = []
    for (let lba = offset / this.blockBytes; lba < end;) {
      const cdb = encodeCdb({ kind: 'get-lba-status', lba, allocationLength: lbaStatusBytes })
      const extents = decodeLbaStatus(
        await query(this.#commander, 'get LBA status', cdb, lbaStatusBytes, signal),
      )
      let next = lba
      for (const extent of extents) {
        const extentEnd = extent.lba + extent.blocks
        if (extent.lba > next || extentEnd <= next || next >= end) break
        const stop = Math.min(extentEnd, end)
        found.push({ lba: next, blocks: stop - next, state: extent.state })
        next = stop
      }
      if (next === lba)
        throw new AppError(
          'device-rejected',
          'The device told nothing of the blocks that it was asked about',
          {
            object: this.name,
            facts: { lba: String(lba) },
          },
        )
      lba = next
    }
    return found
  }

  /** false: the LUN does not hold `expected` there, and was not changed. At most as much as the device does in one step. */
  async compareAndWrite(
    offset: number,
    expected: Buffer,
    bytes: Buffer,
    signal?: AbortSignal,
  ): Promise<boolean> {
    this.requireWritable(offset, bytes.length)
    const blocks = bytes.length / this.blockBytes
    const most = this.facts.limits.maxCompareAndWriteBlocks
    if (most === 0) throw this.#unsupported('COMPARE AND WRITE')
    if (expected.length !== bytes.length || blocks < 1 || blocks > most)
      throw new AppError(
        'bad-request',
        `Compare and write takes 1 to ${most} blocks, twice the same number`,
        {
          object: this.name,
        },
      )
    const cdb = encodeCdb({ kind: 'compare-and-write', lba: offset / this.blockBytes, blocks })
    const { status } = await this.#change(
      {
        what: 'compare and write',
        cdb,
        out: Buffer.concat([expected, bytes]),
        accepts: ({ key }) => key === senseKey.miscompare,
      },
      signal,
    )
    return status === scsiStatus.good
  }

  /** Ends all tasks of the LUN, of every initiator. */
  async reset(signal?: AbortSignal): Promise<void> {
    this.#throwIfStale()
    await (await this.#nexus.get(signal)).resetLun(this.#number)
  }

  close(): Promise<void> {
    return this.#nexus.close()
  }

  #readOnce(offset: number, into: Buffer, signal: AbortSignal | undefined): Promise<Task> {
    const cdb = transferCdb(0x28, 0x88, offset / this.blockBytes, into.length / this.blockBytes)
    return this.#commander.run({ what: 'read', cdb, into, changes: false }, signal)
  }

  async #writeOnce(offset: number, out: Buffer, signal: AbortSignal | undefined): Promise<void> {
    const cdb = transferCdb(0x2a, 0x8a, offset / this.blockBytes, out.length / this.blockBytes)
    await this.#change({ what: 'write', cdb, out }, signal)
  }

  async #change(command: Omit<Command, 'changes'>, signal: AbortSignal | undefined): Promise<Task> {
    this.#changes++
    try {
      return await this.#commander.run({ ...command, changes: true }, signal)
    } finally {
      this.#changes++
    }
  }

  get #transferBytes(): number {
    const { maxTransferBlocks } = this.facts.limits
    return maxTransferBlocks === 0
      ? largestTransferBytes
      : Math.min(largestTransferBytes, maxTransferBlocks * this.blockBytes)
  }

  /** Waits for all parts before it throws: none is under way any more then. */
  async #inParts(bytes: Buffer, work: (part: Buffer, at: number) => Promise<unknown>): Promise<void> {
    const parts: Promise<unknown>[] = []
    for (let at = 0; at < bytes.length; at += this.#transferBytes)
      parts.push(work(bytes.subarray(at, at + this.#transferBytes), at))
    for (const result of await Promise.allSettled(parts))
      if (result.status === 'rejected') throw result.reason
  }

  *#extents(offset: number, lengthBytes: number, most: number): Generator<{ lba: number; blocks: number }> {
    const end = (offset + lengthBytes) / this.blockBytes
    for (let lba = offset / this.blockBytes; lba < end; lba += most)
      yield { lba, blocks: Math.min(most, end - lba) }
  }

  async #onAttention(session: Session, sense: Sense, signal: AbortSignal | undefined): Promise<void> {
    if (isSense(sense, senses.lunNotSupported)) throw this.#markStale('The LUN is not there any more')
    await this.#nexus.check(session, signal)
  }

  /** The same LUN as the one that was opened; otherwise stale for good. */
  async #verify(session: Session, signal: AbortSignal): Promise<void> {
    this.#throwIfStale()
    const difference = await undisturbed(session, this.#number, this.name, (commander) =>
      differenceFrom(this.facts, commander, signal),
    )
    if (difference !== undefined) throw this.#markStale(difference.message, difference.facts)
  }

  #markStale(message: string, facts: Readonly<Record<string, string>> = {}): AppError {
    this.#stale ??= new AppError('stale', message, {
      object: this.name,
      facts,
      advice: 'Find out on the array what happened to it; open it again when it is the right one.',
    })
    return this.#stale
  }

  #throwIfStale(): void {
    if (this.#stale !== undefined) throw this.#stale
  }

  /** Throws bad-request, or stale. */
  requireRange(offset: number, lengthBytes: number): void {
    this.#throwIfStale()
    requireBlocks(this, offset, lengthBytes)
  }

  requireWritable(offset: number, lengthBytes: number): void {
    this.requireRange(offset, lengthBytes)
    if (this.isReadOnly)
      throw new AppError('bad-request', 'The LUN is open for reading only', { object: this.name })
  }

  #unsupported(command: string): AppError {
    return new AppError('not-supported', `The device does not know ${command}`, { object: this.name })
  }
}

/** READ or WRITE in 10 bytes where they do, else in 16; the hot path's own encoder. */
function transferCdb(opcode10: number, opcode16: number, lba: number, blocks: number): Uint8Array {
  const cdb = new Uint8Array(16)
  if (lba <= 0xffff_ffff && blocks <= largestBlocks10) {
    cdb[0] = opcode10
    put(cdb, 2, 4, lba)
    put(cdb, 7, 2, blocks)
  } else {
    cdb[0] = opcode16
    put(cdb, 2, 8, lba)
    put(cdb, 10, 4, blocks)
  }
  return cdb
}
