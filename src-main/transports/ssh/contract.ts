import type { SecretSource, SshConnection } from '#shared/domain/connection.ts'
import type { Shell } from '../shell/shell.ts'

/** What the user is asked for: "password of root@array1", "passphrase of ~/.ssh/id_ed25519". */
export interface SecretRequest {
  readonly purpose: 'password' | 'passphrase' | 'keyboard-interactive'
  readonly label: string
  /** Where the connection says the secret is; undefined: nothing said, so only a prompt can help. */
  readonly source: SecretSource | undefined
}

/** Where secrets come from. undefined: there is none (no terminal to ask on, variable not set). */
export interface SecretProvider {
  getSecret(request: SecretRequest, signal: AbortSignal): Promise<string | undefined>
}

export interface HostKeyReport {
  readonly host: string
  readonly port: number
  readonly type: string
  readonly fingerprint: string
  readonly state: 'known' | 'unknown' | 'changed'
  readonly expected: readonly string[]
}

/** A device's connection: a Shell with files. One TCP connection, many channels. */
export interface SshSession extends Shell {
  /** Opens now what the first command would open; throws what it would throw. */
  connect(signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

export interface SshPool {
  /** The one session for this device; opened at the first command, reopened after a loss, never retrying a command. */
  session(name: string, connection: SshConnection): SshSession
  inspectHostKey(connection: SshConnection, signal: AbortSignal): Promise<HostKeyReport>
  /** Appends to Gantry's own known_hosts file; fails with auth-failed when the device shows another key now. */
  trustHostKey(connection: SshConnection, fingerprint: string, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}
