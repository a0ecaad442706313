import { expect, it } from 'vitest'
import { cleanConsole } from './console-text.ts'

it('cleanConsole takes out what could act on a terminal', () => {
  expect(
    cleanConsole('\u001b[2J\u001b]0;title\u0007\u001b[31mpanic\u001b[0m\r\nnext\u0007\u009b line\u001bc'),
  ).toBe('panic\nnext line')
})
