import { expect, test } from 'vitest'
import { AppError } from '#shared/errors/app-error.ts'
import { expandNames } from './names.ts'

test('A14: a pattern counts, pads and passes over names that are taken', () => {
  expect(expandNames('web-{n:03}', 3, new Set(['web-002']))).toEqual(['web-001', 'web-003', 'web-004'])
  expect(expandNames('{n}x', 2, new Set())).toEqual(['1x', '2x'])
})

test('a pattern without a number is one name, and refused when taken or wanted twice', () => {
  expect(expandNames('web', 1, new Set())).toEqual(['web'])
  expect(() => expandNames('web', 1, new Set(['web']))).toThrow(AppError)
  expect(() => expandNames('web', 2, new Set())).toThrow(/cannot all be named/)
})

test.each(['a b{n}', '$(reboot){n}', 'a;{n}', '-{n}', `${'x'.repeat(63)}{n}`, 'ü{n}', 'a\n{n}'])(
  'a name that a device would not take is refused: %j',
  (pattern) => {
    expect(() => expandNames(pattern, 1, new Set())).toThrow(AppError)
  },
)
