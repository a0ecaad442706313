import type { LunIdentity } from '#shared/domain/storage.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'

/** A LUN to be made: absolute paths on the array. */
export interface LunRequest {
  readonly identity: LunIdentity
  readonly objectPath: string
  readonly volumePath: string
  readonly readOnly: boolean
}

/** A LUN as the target daemon shows it. Absolute path on the array; names as the daemon prints them. */
export interface TargetLun {
  readonly target: string
  readonly lun: number
  readonly serial: string
  readonly naa: string
  readonly backingPath: string
  /** Of the file under it; the daemon's own figure, which may be rounded, where there is no such file. */
  readonly sizeBytes: number
  readonly mappedTo: readonly string[]
  readonly sessions: readonly string[]
  /** Its making was cut off: nobody has a map, it bears no serial yet. */
  readonly halfMade: boolean
}

/**
 * The program on the array that serves LUNs, as the scripts that it needs: tgt today, LIO could be another. Scripts
 * are whole; they answer with the exit codes of `refusals` (errors.ts) where the contract of ArrayDriver demands an
 * answer. All that change something do it under one lock, which also deleteObject takes.
 */
export interface TargetServer {
  /**
   * Definitions of the shell functions `lock_luns` (waits for the lock) and `list_backings` (prints the resolved
   * path under each LUN, one a line; fails when the server does not answer) for scripts that are about objects.
   */
  readonly functions: ShellScript
  /** Prints all LUNs, or those of one target name; for {@link parseLuns}. */
  showLuns(target?: string): ShellScript
  /** Text of showLuns as LUNs, controllers left out. */
  parseLuns(text: string): TargetLun[]
  createLun(request: LunRequest, lunLimit: number, initiator?: string): ShellScript
  mapLun(identity: LunIdentity, initiator: string): ShellScript
  unmapLun(identity: LunIdentity, initiator: string): ShellScript
  deleteLun(identity: LunIdentity): ShellScript
  /** Makes again what is missing; goes on after a failure and names at the end what it could not make. */
  restoreLuns(luns: readonly { request: LunRequest; initiators: readonly string[] }[]): ShellScript
  /** Prints lines for parse-probe.ts: `version`, and checks of the server. Uses the function `check`. */
  readonly probe: ShellScript
}
