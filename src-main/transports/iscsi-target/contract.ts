import type { LunIdentity } from '#shared/domain/storage.ts'
import type { Portal } from '../iscsi/portal.ts'

/** Secrets are 12 to 255 bytes (RFC 7143, 9.2.1), those of the two directions are different. */
export interface ChapSettings {
  /** What initiators must prove. */
  readonly initiator: { readonly name: string; readonly secret: string }
  /** What the target proves to an initiator that asks. */
  readonly target?: { readonly name: string; readonly secret: string }
}

export interface TargetLunRequest {
  /** The target name is the identity's: one target for each LUN. Serial and NAA are what initiators see. */
  readonly identity: LunIdentity
  /** A regular file of this computer; what is beyond its end reads as zeros. */
  readonly path: string
  /** What initiators see; a multiple of 512. Never shorter than the file: that would hide data. */
  readonly sizeBytes: number
  readonly readOnly: boolean
  /** INQUIRY: ASCII, at most 8 and 16 characters. */
  readonly vendor: string
  readonly product: string
  /** Initiator names that may see the LUN and log in; none: nobody. */
  readonly initiators: readonly string[]
}

export interface TargetSession {
  readonly initiator: string
  /** host:port of the initiator. */
  readonly peer: string
  readonly startedAt: Date
}

export interface TargetLun extends TargetLunRequest {
  readonly sessions: readonly TargetSession[]
}

export interface IscsiTargetOptions {
  /** Loopback unless told; port 0: any that is free (its number is in {@link IscsiTarget.portal}). */
  readonly portal?: Portal
  /** What every login must prove, also one that only asks for the list of targets. Needed on any other address than loopback. */
  readonly chap?: ChapSettings
  /** Where LUNs keep what must outlive a restart (reservations), one file for each serial. Made when missing. */
  readonly stateFolder: string
  /** What a user should see of a LUN that does not work (a full or failing disk), once for each kind of trouble. */
  readonly onTrouble?: (trouble: { readonly target: string; readonly text: string }) => void
}

/**
 * An iSCSI target on one portal. All LUNs are thin: UNMAP gives the file's blocks back where the file system can.
 * Data is in the file when a write is answered, and durable when the initiator has asked for it (SYNCHRONIZE CACHE,
 * FUA) or the LUN has been removed or the target closed.
 */
export interface IscsiTarget {
  readonly portal: Portal

  /**
   * Serves a file. Errors, all with `effect: none`: not-found (no such file), busy (target name or file in use by
   * another LUN), bad-request (what was asked makes no LUN: size, names), device-rejected (the file cannot be opened).
   */
  addLun(request: TargetLunRequest): Promise<void>
  /**
   * Ends serving, flushes and closes the file; resolves to false when there is no such target. busy: initiators are
   * logged in (their names in the message), unless `force` is set: then their sessions are dropped first. What the
   * LUN keeps in the state folder goes away, unless `keepState` is set. device-rejected: it is not served any more, and
   * what was written last may be lost.
   */
  removeLun(
    target: string,
    options?: { readonly force?: boolean; readonly keepState?: boolean },
  ): Promise<boolean>
  /**
   * Who may see the LUN and log in. Sessions of those who no longer may are dropped before it resolves, or go on to
   * their end where `keepSessions` is set. not-found: no such target.
   */
  setInitiators(
    target: string,
    initiators: readonly string[],
    options?: { readonly keepSessions?: boolean },
  ): Promise<void>
  /** For logins from now on; undefined: none asked for. Sessions go on. bad-request. */
  setChap(chap: ChapSettings | undefined): void
  /** Sessions meet a unit attention "capacity changed". bad-request: smaller than it is. not-found. */
  growLun(target: string, sizeBytes: number): Promise<void>

  findLun(target: string): TargetLun | undefined
  listLuns(): TargetLun[]

  /** Drops sessions, flushes and closes everything; states are kept. device-rejected, after all: as for a removal. */
  close(): Promise<void>
}

/** Rejects with busy (port in use), bad-request (address is none of this computer, secrets, no CHAP on an open portal). */
export type StartIscsiTarget = (options: IscsiTargetOptions) => Promise<IscsiTarget>
