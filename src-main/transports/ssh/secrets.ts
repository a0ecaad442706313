import { AppError } from '#shared/errors/app-error.ts'
import type { SecretProvider, SecretRequest } from './contract.ts'

export interface SecretProviderOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Asks the user without showing what is typed; undefined: the user gave none. Left out: nobody can be asked. */
  readonly prompt?: (label: string, signal: AbortSignal) => Promise<string | undefined>
  /** The operating system's store. */
  readonly store?: { get(key: string): Promise<string | undefined> }
}

/** Secrets from the environment, the system's store or the user. Nothing is kept; questions come one at a time. */
export function createSecretProvider(options: SecretProviderOptions): SecretProvider {
  const { env, prompt, store } = options
  let lastQuestion: Promise<unknown> = Promise.resolve()

  async function ask(label: string, signal: AbortSignal): Promise<string | undefined> {
    if (prompt === undefined) return undefined
    const before = lastQuestion
    const question = (async () => {
      await before.catch(() => undefined)
      return signal.aborted ? undefined : await prompt(label, signal)
    })()
    lastQuestion = question
    return await question
  }

  return {
    async getSecret({ label, source }: SecretRequest, signal) {
      switch (source?.from) {
        case 'env':
          return env[source.variable]
        case 'store':
          if (store === undefined)
            throw new AppError(
              'not-supported',
              `The ${label} is in a store of secrets that is not available here`,
              {
                advice: 'Use a variable of the environment, or the window of Gantry.',
              },
            )
          return await store.get(source.key)
        default:
          return await ask(label, signal)
      }
    },
  }
}

/**
 * A provider that remembers, for as long as it lives, what has worked: a lost connection comes back without asking
 * again. What did not work is never kept.
 */
export class SecretMemory {
  readonly #provider: SecretProvider
  readonly #worked = new Map<string, string>()

  constructor(provider: SecretProvider) {
    this.#provider = provider
  }

  async get(request: SecretRequest, signal: AbortSignal): Promise<string | undefined> {
    return this.#worked.get(request.label) ?? (await this.#provider.getSecret(request, signal))
  }

  keep(label: string, secret: string): void {
    this.#worked.set(label, secret)
  }

  forget(label: string): void {
    this.#worked.delete(label)
  }

  clear(): void {
    this.#worked.clear()
  }
}
