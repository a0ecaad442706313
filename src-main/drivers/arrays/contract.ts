import type {
  ArrayConfig,
  Check,
  LunAddress,
  LunFacts,
  LunIdentity,
  ObjectFacts,
  ObjectRef,
  OsType,
  Volume,
} from '#shared/domain/storage.ts'
import type { z } from 'zod'
import type { arrayIdentitySchema } from '#shared/domain/storage.ts'
import type { Action } from '../action.ts'

export type ArrayIdentity = z.infer<typeof arrayIdentitySchema>

export interface ArrayProbe {
  readonly identity: ArrayIdentity
  readonly checks: Check[]
}

export interface CreateObject extends ObjectRef {
  readonly sizeBytes: number
  /** Id of the job: written beside the object before the object itself appears. */
  readonly mark: string
}

export interface CopyObject {
  readonly from: ObjectRef
  readonly to: ObjectRef
  readonly mark: string
}

export interface ByteRange {
  readonly offset: number
  readonly lengthBytes: number
}

export interface CreateLun extends LunIdentity {
  readonly backing: ObjectRef
  readonly osType: OsType
}

/**
 * An array over which containers are kept and LUNs are made. Words: an *object* is a file on a volume (container,
 * snapshot, clone); it costs no LUN. Errors are AppErrors; a full volume, a reached LUN limit or a refused request
 * is device-rejected, a taken name or an object in use is busy.
 *
 * For every Action: a run that succeeded is durable on the device (but LUNs and maps may be lost when the array's
 * target daemon restarts; see restoreLuns). After a run that failed or was cut off the effect is there wholly, in
 * part, or not at all: ask with find..., then run the undoing action, which succeeds when there is nothing to undo.
 * An undoing action touches only what bears the given mark or identity.
 */
export interface ArrayDriver {
  readonly config: ArrayConfig

  /** Who it is and whether everything that is needed is there; answers also when checks fail. */
  probe(signal: AbortSignal): Promise<ArrayProbe>
  /** The volumes of the configuration with space and LUN counts (every LUN on the volume counts, ours or not). */
  listVolumes(signal: AbortSignal): Promise<Volume[]>
  /** The multiple of bytes that container sizes must be. */
  readonly alignmentBytes: number

  listObjects(volume: string, signal: AbortSignal): Promise<ObjectFacts[]>
  /**
   * undefined: neither the object nor its mark is there. Allocated 0 and size 0 when only the mark is there. Unique
   * bytes, which take reading every extent, are told by listObjects alone.
   */
  findObject(ref: ObjectRef, signal: AbortSignal): Promise<ObjectFacts | undefined>
  /**
   * An empty, sparse object. Fails with busy when the name is taken, also when taken by another console just now.
   * Again with the same mark and size it succeeds, and brings a run that was cut off to its end; so do copies.
   */
  createObject(spec: CreateObject): Action
  /** Removes object and mark if the mark is the given one, else nothing. Refuses (busy) while a LUN is made from it. */
  deleteObject(ref: ObjectRef, mark: string): Action
  /** Size of the object and its bytes in these ranges, short at its end. not-found. */
  readObject(
    ref: ObjectRef,
    ranges: readonly ByteRange[],
    signal: AbortSignal,
  ): Promise<{ readonly sizeBytes: number; readonly parts: Uint8Array[] }>
  /** SHA-256 (hex) of the whole object, computed on the array. */
  hashObject(ref: ObjectRef): Action<string>

  /** A read-only copy of a container that shares its blocks; not-supported where the volume cannot. Absent: the array cannot. */
  readonly snapshotObject?: (spec: CopyObject) => Action
  /** A writable copy that shares its blocks; not-supported where the volume cannot. Absent: the array cannot. */
  readonly cloneObject?: (spec: CopyObject) => Action

  /**
   * A writable copy of a container that shares nothing with it, for volumes that cannot share blocks
   * (Volume.canReflink); holes stay holes, and it takes time and room for everything that is written. Refuses (busy)
   * while a LUN is made from the original, and a copy during which the original changed (stale). Absent: the array
   * cannot.
   */
  readonly copyObject?: (spec: CopyObject) => Action

  listLuns(signal: AbortSignal): Promise<LunFacts[]>
  /**
   * By target name and serial: a LUN of that target name with another serial is not ours and throws busy.
   * Size 0: its making was cut off; createLun brings it to its end, deleteLun removes it.
   */
  findLun(identity: LunIdentity, signal: AbortSignal): Promise<LunFacts | undefined>
  /**
   * File-to-LUN conversion, mapped to nobody, or to `initiator` alone: the map comes last, so that nobody meets a
   * half-made LUN. Running it again for the same identity, backing and initiator succeeds. Refuses at the LUN limit of
   * the volume (device-rejected), when the backing already is under another LUN, and when the LUN is mapped to another
   * initiator (busy).
   */
  createLun(spec: CreateLun, initiator?: string): Action
  /** Masks the LUN to this initiator name alone; again is no error. Busy while another one has a map or is logged in. */
  mapLun(identity: LunIdentity, initiator: string): Action
  /** Removes the map; not there is no error. Sessions that exist are not ended. */
  unmapLun(identity: LunIdentity, initiator: string): Action
  /** Destroys the LUN with its map, never the object under it. Refuses (busy) while an initiator is logged in. */
  deleteLun(identity: LunIdentity): Action

  /** Re-creates LUNs with their maps that the array has lost; those present are left alone. Absent: the array keeps them. */
  readonly restoreLuns?: (
    luns: readonly { readonly lun: CreateLun; readonly initiators: readonly string[] }[],
  ) => Action

  /**
   * Ends what serves the array's LUNs; LUNs, maps and objects stay. Refuses (busy) while an initiator is logged in,
   * unless forced. Not running is no error. Absent: what serves is not the console's to end.
   */
  readonly stop?: (options: { readonly force: boolean }) => Action

  /** Where a host finds a LUN of this array. `portal` overrides the array's own. */
  addressOf(identity: LunIdentity, portal?: string): LunAddress
  /** A free identity for a LUN of this name; chosen here, sent nowhere. */
  newIdentity(lunName: string): LunIdentity
}
