import { expect, test } from 'vitest'
import { formatDuration, parseDuration } from './duration.ts'

test.each([
  ['90', 90_000],
  ['90s', 90_000],
  ['500ms', 500],
  ['5m', 300_000],
  ['5 min', 300_000],
  ['1.5h', 5_400_000],
])('%s is %d ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

test.each(['', '0', '-5', '5 days', 'm', '1e3', '99999999999999999h'])('"%s" is refused', (text) => {
  expect(() => parseDuration(text)).toThrow('is not a duration')
})

test('durations are written for people', () => {
  expect([1500, 65_000, 3_725_000].map(formatDuration)).toEqual(['1.5 s', '1 min 05 s', '1 h 02 min'])
})
