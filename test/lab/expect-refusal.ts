import { expect } from 'vitest'
import type { ErrorCode } from '#shared/errors/app-error.ts'
import { errorCodes } from '#shared/errors/app-error.ts'
import { exitCodes } from '#shared/errors/user-text.ts'
import type { CommandResult } from './gantry-command.ts'

const errorLine = new RegExp(`^(.+) \\((${errorCodes.join('|')})\\)$`)

/**
 * That a command ended with one clear error: its class in the exit code and on standard error, on what it happened,
 * and what to do (the line after it that is no fact). Returns that error's own words.
 */
export function expectRefusal(
  result: CommandResult,
  code: ErrorCode,
  said: { readonly object: string; readonly message?: RegExp; readonly advice?: RegExp },
): void {
  const lines = result.stderr.trimEnd().split('\n')
  const errors = lines.flatMap((line, index) => {
    const found = errorLine.exec(line)
    return found === null ? [] : [{ text: found[1] ?? '', code: found[2], index }]
  })
  expect(errors, result.stderr).toHaveLength(1)
  const [error] = errors
  expect({ exit: result.code, code: error?.code }, result.stderr).toEqual({ exit: exitCodes[code], code })
  expect(error?.text).toContain(said.object)
  if (said.message !== undefined) expect(error?.text).toMatch(said.message)
  const advice = lines.slice((error?.index ?? 0) + 1).filter((line) => !line.startsWith('  '))
  expect(advice.join('\n'), result.stderr).toMatch(said.advice ?? /\w+ \w+.*\./)
  expect(result.stderr).not.toMatch(/^\s+at .*:\d+:\d+\)?$/m)
}
