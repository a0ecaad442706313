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

test('the end of one who waits is no matter to the others; when nobody waits any more, the question ends', async () => {
  const answers: ((secret: string) => void)[] = []
  const ended: AbortSignal[] = []
  const secrets = createChapSecrets({
    getSecret: (_request, end) => {
      ended.push(end)
      return new Promise((resolve) => answers.push(resolve))
    },
  })
  const [first, second] = [new AbortController(), new AbortController()]
  const ask = (by: AbortSignal) => secrets.use(login, portal, by, echo)
  const waiting = [ask(first.signal), ask(second.signal)]
  first.abort()
  await expect(waiting[0]).rejects.toMatchObject({ name: 'AbortError' })
  expect(ended[0]?.aborted).toBe(false)
  answers[0]?.('secret-number-1')
  expect(await waiting[1]).toBe('secret-number-1')
  expect(await ask(signal)).toBe('secret-number-1')

  const alone = new AbortController()
  const left = secrets.use(login, '192.0.2.2:3260', alone.signal, echo)
  alone.abort()
  await expect(left).rejects.toMatchObject({ name: 'AbortError' })
  expect(ended[1]?.aborted).toBe(true)
  const again = secrets.use(login, '192.0.2.2:3260', signal, echo)
  answers[2]?.('secret-number-2')
  expect(await again).toBe('secret-number-2')
})

test('a secret of another source is another one', async () => {
  const secrets = createChapSecrets({
    getSecret: ({ source }) =>
      Promise.resolve(source?.from === 'env' ? `secret of ${source.variable}` : undefined),
  })
  const from = (variable: string) =>
    secrets.use({ user: 'lab', password: { from: 'env', variable } }, portal, signal, echo)
  expect([await from('FIRST'), await from('SECOND')]).toEqual(['secret of FIRST', 'secret of SECOND'])
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
