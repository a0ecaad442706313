import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sh } from '../shell/script.ts'
import { commandLine } from './command-line.ts'

const plain = { sudo: false, tethered: false }
/** Login shells; what is not installed here is not tried, and the test's title says so. */
const shells = [
  ['/bin/sh', '-c'],
  ['/bin/bash', '-c'],
  ['/usr/bin/busybox', 'sh', '-c'],
  ['/bin/tcsh', '-c'],
  ['/usr/bin/fish', '-c'],
].map((words) => ({ words, isThere: existsSync(words[0] ?? '') }))

function runIn(words: readonly string[], command: string): string {
  const [program = '', ...rest] = words
  return execFileSync(program, [...rest, command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

describe('the command line for the login shell', () => {
  for (const { words, isThere } of shells)
    test.skipIf(!isThere)(
      `${words.join(' ')} passes the script on unharmed${isThere ? '' : ' (not installed here)'}`,
      () => {
        const hostile = [
          `it's`,
          'a\nb',
          '!history !! !1',
          '\\',
          "\\'",
          '\\\\',
          '$HOME `id`',
          '%s %b \\c \\n',
          '\t\r',
          'äß𝄞',
          '',
          '-n',
        ]
        const out = runIn(words, commandLine(sh`printf '%s\\0' ${hostile}; echo "$#" "$LC_ALL" "$0"`, plain))
        expect(out.split('\0')).toEqual([...hostile, '0 C /bin/sh\n'])
      },
    )

  test('any script text arrives as it was (fuzzed)', () => {
    const text = fc.string({ unit: fc.constantFrom(...'\'"\\$`!%0cn1 \n\tä'.split('')), maxLength: 200 })
    fc.assert(
      fc.property(text, (value) => {
        expect(runIn(['/bin/bash', '-c'], commandLine(sh`printf %s ${value}`, plain))).toBe(value)
      }),
      { numRuns: 80 },
    )
  })

  test('the exit status is the script’s', () => {
    const status = (command: string): number => {
      try {
        execFileSync('/bin/sh', ['-c', command], { stdio: ['pipe', 'ignore', 'ignore'] })
        return 0
      } catch (error) {
        return error instanceof Error && 'status' in error ? Number(error.status) : -1
      }
    }
    expect(status(commandLine(sh`exit 7`, plain))).toBe(7)
    expect(status(commandLine(sh`set -eu; false; true`, plain))).toBe(1)
  })

  test('refuses what the device could not take as one argument', () => {
    expect(() => commandLine(sh`echo ${'x'.repeat(131_072)}`, plain)).toThrow(/too long/)
    expect(() => commandLine(sh`echo \0`, plain)).toThrow(/NUL/)
    expect(commandLine(sh`echo ${'x'.repeat(100_000)}`, plain).length).toBeLessThan(131_072)
  })

  test('sudo never asks for a password', () => {
    expect(commandLine(sh`id`, { sudo: true, tethered: false })).toContain('exec sudo -n -- /bin/sh -c')
  })
})
