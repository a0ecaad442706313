import type { ChapLogin } from '#shared/domain/storage.ts'

/** Where drivers get the secrets of CHAP logins, at the moment when they send them; they keep none. */
export interface ChapSecrets {
  /**
   * Hands the secret to `use`. It is asked for once for a portal, and again when `use` has failed with auth-failed.
   * Throws auth-failed when there is none, bad-request when it is none that every initiator can send.
   */
  use<T>(
    login: ChapLogin,
    portal: string,
    signal: AbortSignal,
    use: (secret: string) => Promise<T>,
  ): Promise<T>
}
