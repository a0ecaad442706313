import { expect, test } from 'vitest'
import { isOwnUrl } from './origin.ts'
import { isTrustedSender } from './sender.ts'

const own = new Set([7])
const frame = { url: 'app://gantry/index.html', parent: null }

test('only the main frame of an own window with the own page is trusted', () => {
  expect(isTrustedSender({ sender: { id: 7 }, senderFrame: frame }, own)).toBe(true)
  expect(isTrustedSender({ sender: { id: 8 }, senderFrame: frame }, own)).toBe(false)
  expect(isTrustedSender({ sender: { id: 7 }, senderFrame: null }, own)).toBe(false)
  expect(isTrustedSender({ sender: { id: 7 }, senderFrame: { ...frame, parent: frame } }, own)).toBe(false)
  expect(isTrustedSender({ sender: { id: 7 }, senderFrame: { ...frame, url: 'about:blank' } }, own)).toBe(
    false,
  )
})

test.each([
  'app://gantry.evil/',
  'app://gantry:1/',
  'app://user@gantry/',
  'app://x/gantry',
  'https://gantry/',
  'file:///index.html',
  'javascript:alert(1)',
  'data:text/html,x',
  'about:blank',
  '',
])('not the own origin: %s', (url) => {
  expect(isOwnUrl(url)).toBe(false)
})
