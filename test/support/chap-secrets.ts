import { createChapSecrets } from '#main/app/chap-secrets.ts'
import type { ChapSecrets } from '#main/drivers/chap-secrets.ts'

/** A console that is always given this secret; undefined: none. */
export const chapSecretsOf = (secret?: string): ChapSecrets =>
  createChapSecrets({ getSecret: () => Promise.resolve(secret) })
