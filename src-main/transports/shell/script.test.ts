import { execFileSync } from 'node:child_process'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppError } from '#shared/errors/app-error.ts'
import { lines, quote, raw, sh } from './script.ts'

/** What a real /bin/sh makes of a list of arguments. */
function argumentsSeenBy(script: string): string[] {
  const out = execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8', env: { PATH: '/usr/bin:/bin' } })
  return out.split('\0').slice(0, -1)
}

const hostile = fc.oneof(
  fc.constantFrom(
    '',
    '-',
    '--',
    '-n',
    '=x',
    '~',
    '~root',
    '*',
    '$(id)',
    '`id`',
    '$HOME',
    '${x}',
    ';',
    '&',
    '|',
  ),
  fc.constantFrom(
    "'",
    "''",
    '"',
    '\\',
    '\\\\',
    "\\'",
    '\n',
    '\n\n',
    '\r\n',
    '\t',
    ' ',
    '!',
    '!!',
    '#',
    '%s',
    '\\0',
  ),
  fc.string({ unit: fc.constantFrom(...'\'"\\$`!;&|<>(){}[]*?~#%=- \n\t\ra'.split('')), maxLength: 300 }),
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.string({ unit: 'binary', maxLength: 100 }).filter((text) => text.isWellFormed()),
)
const argument = hostile.filter((text) => !text.includes('\0'))

describe('quote and sh', () => {
  test('a real /bin/sh gives every argument back as it was (fuzzed)', () => {
    const property = fc.property(fc.array(argument, { minLength: 1, maxLength: 60 }), (list) => {
      expect(argumentsSeenBy(sh`printf '%s\\0' ${list}`)).toEqual(list)
    })
    fc.assert(property, { numRuns: 150 })
  })

  test('holds 300 characters of each awkward kind, a leading hyphen and nothing at all', () => {
    const list = ["'", '"', '\n', '\\', '$(touch x)', ';', '-', 'ä', '𝄞', ' '].map((text) => text.repeat(300))
    expect(argumentsSeenBy(sh`printf '%s\\0' ${[...list, '-e', '']}`)).toEqual([...list, '-e', ''])
  })

  test('writes the empty argument as a pair of quotes', () => {
    expect(quote('')).toBe(`''`)
  })

  test('refuses NUL, which no argument can hold', () => {
    expect(() => quote('a\0b')).toThrow(AppError)
  })

  test('puts script text in unquoted only through raw', () => {
    const inner = sh`echo ${'a b'}`
    expect(sh`x ${inner}`).toBe(`x 'echo '\\''a b'\\'''`)
    expect(sh`{ ${raw(inner)}; }`).toBe(`{ echo 'a b'; }`)
    expect(lines(inner, sh`true`)).toBe(`echo 'a b'\ntrue`)
  })
})
