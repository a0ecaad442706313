import { chmodSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { AppError } from '#shared/errors/app-error.ts'
import { makeTempDir } from '#test/unit/temp-dir.ts'
import { fileError, systemCode } from './file-errors.ts'

const thrownBy = (work: () => unknown): unknown => {
  try {
    return work()
  } catch (error) {
    return error
  }
}

test('what the system says is kept, beside what it means', () => {
  const path = join(makeTempDir(), 'none')
  const error = thrownBy(() => openSync(path, 'r'))
  expect(systemCode(error)).toBe('ENOENT')
  expect(fileError(error, path)).toMatchObject({
    code: 'not-found',
    object: path,
    facts: { 'system says': expect.stringContaining('ENOENT') },
    cause: error,
  })
})

test.skipIf(process.getuid?.() === 0)('a file without the right to it', () => {
  const path = join(makeTempDir(), 'secret')
  writeFileSync(path, '')
  chmodSync(path, 0)
  expect(
    fileError(
      thrownBy(() => openSync(path, 'r')),
      path,
    ),
  ).toMatchObject({ code: 'auth-failed' })
})

test.each([
  ['EACCES', 'auth-failed'],
  ['EEXIST', 'busy'],
  ['EROFS', 'device-rejected'],
  ['EXDEV', 'device-rejected'],
])('%s is %s', (code, expected) => {
  expect(fileError(Object.assign(new Error('no'), { code }), 'x')).toMatchObject({ code: expected })
})

test('a fault of a program, a cancellation and what is told already stay what they are', () => {
  const errors = [
    new TypeError('undefined is not a function'),
    thrownBy(() => openSync('a\0b', 'r')),
    Object.assign(new Error('aborted'), { name: 'AbortError', code: 'ABORT_ERR' }),
    new AppError('stale', 'It has changed'),
  ]
  for (const error of errors) expect(fileError(error, 'x')).toBe(error)
})
