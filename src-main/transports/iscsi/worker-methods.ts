import { AppError, toAppError } from '#shared/errors/app-error.ts'
import type { ReservationType } from '#main/protocols/scsi/reservations.ts'
import type { FileContent } from '../block/block-device.ts'
import { hashRegion, readIntoFile, writeContent } from '../block/bulk.ts'
import type { BulkDisk } from '../block/bulk.ts'
import { discoverTargets, listLuns } from './discovery.ts'
import { Lun } from './lun.ts'
import type { LunOptions } from './lun.ts'
import { errorOf } from './scsi-errors.ts'
import type { SessionOptions } from './session-options.ts'
import type { CallContext, Methods } from './worker-port.ts'

/** A LUN by the number that `open` gave. */
interface OfLun {
  readonly handle: number
}
interface Region extends OfLun {
  readonly offset: number
  readonly lengthBytes: number
}
interface Data extends OfLun {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** What the main side may call in the worker: sessions, their data, files and hashes live here. */
export type InitiatorMethods = ReturnType<typeof createMethods>

export function createMethods() {
  const luns = new Map<number, Lun>()
  let nextHandle = 1
  const get = ({ handle }: OfLun): Lun => {
    const lun = luns.get(handle)
    if (lun === undefined) throw new AppError('bad-request', 'The LUN was closed')
    return lun
  }

  return {
    discover: (options: Omit<SessionOptions, 'targetName'>, { signal }: CallContext) =>
      discoverTargets(options, signal),
    listLuns: (options: SessionOptions & { readonly targetName: string }, { signal }: CallContext) =>
      listLuns(options, signal),

    async open(options: LunOptions, { signal }: CallContext) {
      const lun = await Lun.open(options, signal)
      const handle = nextHandle++
      luns.set(handle, lun)
      const { name, facts, blockBytes, sizeBytes, isReadOnly, canUnmap, canCompareAndWrite, canCopy } = lun
      return {
        handle,
        name,
        facts,
        blockBytes,
        sizeBytes,
        isReadOnly,
        canUnmap,
        canCompareAndWrite,
        canCopy,
      }
    },
    async close(input: OfLun) {
      const lun = luns.get(input.handle)
      luns.delete(input.handle)
      await lun?.close()
    },
    async closeAll() {
      const all = [...luns.values()]
      luns.clear()
      await Promise.all(all.map((lun) => lun.close()))
    },

    async read(input: Region, { signal }: CallContext): Promise<Uint8Array> {
      const lun = get(input)
      lun.requireRange(input.offset, input.lengthBytes)
      const bytes = Buffer.allocUnsafeSlow(input.lengthBytes)
      await lun.readInto(input.offset, bytes, signal)
      return bytes
    },
    write: async (input: Data, { signal }: CallContext) =>
      get(input).write(input.offset, bufferOf(input.bytes), signal),
    flush: async (input: OfLun, { signal }: CallContext) => get(input).flush(signal),
    unmap: async (input: Region, { signal }: CallContext) =>
      get(input).unmap(input.offset, input.lengthBytes, signal),
    writeSame: async (input: Region & { readonly block: Uint8Array }, { signal }: CallContext) =>
      get(input).writeSame(input.offset, input.lengthBytes, bufferOf(input.block), signal),
    copy: async (
      input: OfLun & { readonly from: number; readonly to: number; readonly lengthBytes: number },
      { signal }: CallContext,
    ) => get(input).copy(input.from, input.to, input.lengthBytes, signal),
    getLbaStatus: async (input: Region, { signal }: CallContext) =>
      get(input).getLbaStatus(input.offset, input.lengthBytes, signal),
    compareAndWrite: async (input: Data & { readonly expected: Uint8Array }, { signal }: CallContext) =>
      get(input).compareAndWrite(input.offset, bufferOf(input.expected), bufferOf(input.bytes), signal),
    reset: async (input: OfLun, { signal }: CallContext) => get(input).reset(signal),

    readKeys: async (input: OfLun, { signal }: CallContext) => get(input).reservations.readKeys(signal),
    findReservation: async (input: OfLun, { signal }: CallContext) =>
      get(input).reservations.findReservation(signal),
    register: async (
      input: OfLun & { readonly current: bigint; readonly key: bigint },
      { signal }: CallContext,
    ) => get(input).reservations.register(input.current, input.key, signal),
    reserve: async (
      input: OfLun & { readonly key: bigint; readonly type: ReservationType },
      { signal }: CallContext,
    ) => get(input).reservations.reserve(input.key, input.type, signal),
    release: async (
      input: OfLun & { readonly key: bigint; readonly type: ReservationType },
      { signal }: CallContext,
    ) => get(input).reservations.release(input.key, input.type, signal),

    async writeContent(
      input: OfLun & { readonly offset: number; readonly content: FileContent; readonly isZeroed: boolean },
      context: CallContext,
    ) {
      const lun = get(input)
      lun.requireWritable(input.offset, input.content.sizeBytes)
      const disk = bulkDisk(lun)
      try {
        return await writeContent(disk, input.offset, input.content, { ...context, isZeroed: input.isZeroed })
      } catch (error) {
        throw errorOf(toAppError(error), lun.name, disk.hasWritten ? 'unknown' : 'none')
      }
    },
    hash: async (input: Region, context: CallContext) =>
      hashRegion(bulkDisk(get(input)), input.offset, input.lengthBytes, context),
    readIntoFile: async (input: Region & { readonly path: string }, context: CallContext) =>
      readIntoFile(bulkDisk(get(input)), input.offset, input.lengthBytes, input.path, context),
  } satisfies Methods
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function bulkDisk(lun: Lun): BulkDisk & { hasWritten: boolean } {
  const disk = {
    name: lun.name,
    blockBytes: lun.blockBytes,
    sizeBytes: lun.sizeBytes,
    hasWritten: false,
    readInto: (offset: number, into: Buffer, signal: AbortSignal) => lun.readInto(offset, into, signal),
    write(offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
      disk.hasWritten = true
      return lun.write(offset, bufferOf(bytes), signal)
    },
  }
  return disk
}
