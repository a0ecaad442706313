import { AppError, toAppError } from '#shared/errors/app-error.ts'
import type { ChapSecrets } from '#main/drivers/chap-secrets.ts'
import { SharedTask } from '#main/transports/shared-task.ts'
import type { SecretProvider } from '#main/transports/ssh/contract.ts'

/** Remembers, for as long as the console runs, what has not been refused. */
export function createChapSecrets(provider: SecretProvider): ChapSecrets {
  const asked = new Map<string, SharedTask<string>>()

  async function ask(label: string, portal: string, get: Promise<string | undefined>): Promise<string> {
    const secret = await get
    if (secret === undefined || secret === '') throw noSecret(label, portal)
    const wrong = whatIsWrong(secret)
    if (wrong === undefined) return secret
    throw new AppError('bad-request', `The ${label} ${wrong}`, {
      object: `portal ${portal}`,
      advice: 'Choose another secret for the array; 16 letters and digits at random are a good one.',
    })
  }

  return {
    async use({ user, password }, portal, signal, use) {
      const label = `CHAP secret of ${user} at ${portal}`
      const key = JSON.stringify([label, password])
      const before = asked.get(key)
      const known =
        before === undefined || before.isAborted
          ? new SharedTask((ended) =>
              ask(label, portal, provider.getSecret({ purpose: 'password', label, source: password }, ended)),
            )
          : before
      asked.set(key, known)
      const forget = (): void => {
        if (asked.get(key) === known) asked.delete(key)
      }
      let secret: string
      try {
        secret = await known.join(signal)
      } catch (error) {
        if (!signal.aborted) forget()
        throw error
      }
      try {
        return await use(secret)
      } catch (error) {
        if (toAppError(error).code === 'auth-failed') forget()
        throw error
      }
    },
  }
}

/** RFC 7143, 9.2.1 for the length. Line breaks and outer blanks get lost in the files that initiators read it from. */
function whatIsWrong(secret: string): string | undefined {
  const bytes = Buffer.byteLength(secret)
  if (bytes < 12 || bytes > 255) return `has ${bytes} bytes; 12 to 255 are needed`
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(secret)) return 'holds a character that cannot be typed'
  if (secret.trim() !== secret) return 'begins or ends with a blank'
  return undefined
}

const noSecret = (label: string, portal: string): AppError =>
  new AppError('auth-failed', `There is no ${label} at hand`, {
    object: `portal ${portal}`,
    advice:
      'Run it on a terminal, or set the variable that was named for it (--chap-secret-env), then try again.',
  })
