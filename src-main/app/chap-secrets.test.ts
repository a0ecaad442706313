import { expect, test } from 'vitest'
import type { ChapLogin } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { createChapSecrets } from './chap-secrets.ts'

const login: ChapLogin = { user: 'lab', password: { from: 'prompt' } }
const portal = '192.0.2.1:3260'
const { signal } = new AbortController()
const refused = () => Promise.reject(new AppError('auth-failed', 'the array refuses it'))
const echo = (secret: string) => Promise.resolve(secret)

/** Answers in turn; undefined: the user gave none. */
function secretsFrom(...answers: (string | undefined)[]) {
  const labels: string[] = []
  const secrets = createChapSecrets({
    getSecret({ label }) {
      labels.push(label)
      return Promise.resolve(answers.shift())
    },
  })
  return { labels, use: (then = echo, at = portal) => secrets.use(login, at, signal, then) }
}

test('asked once for a portal, also by many at once, and for each portal by itself', async () => {
  const { labels, use } = secretsFrom('secret-number-1', 'secret-number-2')
  expect(await Promise.all([use(), use()])).toEqual(['secret-number-1', 'secret-number-1'])
  expect(await use(echo, '192.0.2.2:3260')).toBe('secret-number-2')
  expect(labels).toEqual(['CHAP secret of lab at 192.0.2.1:3260', 'CHAP secret of lab at 192.0.2.2:3260'])
})

test('one that was refused, or that nobody gave, is asked for again', async () => {
  const { use } = secretsFrom('mistyped-secret', undefined, 'secret-number-1')
  await expect(use(refused)).rejects.toMatchObject({ code: 'auth-failed' })
  await expect(use()).rejects.toMatchObject({ code: 'auth-failed', advice: /--chap-secret-env/ })
  expect(await use()).toBe('secret-number-1')
})

test.each([
  'short',
  'x'.repeat(256),
  ' leading-blank',
  'trailing-blank ',
  'line\nbreak-within',
  'nul\0-within-it',
])('%j is none that every initiator can send; it is not in the error', async (secret) => {
  const error = (await secretsFrom(secret)
    .use()
    .catch((reason: unknown) => reason)) as AppError
  expect(error.code).toBe('bad-request')
  expect(JSON.stringify([error.message, error.advice, error.facts])).not.toContain(secret)
})
