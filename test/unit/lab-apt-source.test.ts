import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findAptSource } from '#test/lab/guest/apt-source.ts'

let root = ''
const put = (path: string, text: string) => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'gantry-apt-'))
  put('etc/os-release', 'NAME="Debian GNU/Linux"\nVERSION_CODENAME=bookworm\n')
})
afterEach(() => rmSync(root, { recursive: true }))

const security = 'Types: deb\nURIs: http://one/security\nSuites: bookworm-security\nComponents: main\n'

test('the mirror of this release is taken from deb822 paragraphs, whatever their order', () => {
  put(
    'etc/apt/sources.list.d/debian.sources',
    `${security}\nTypes: deb deb-src\n# a comment\nURIs: http://two/debian http://three/debian\nSuites: bookworm bookworm-updates\nComponents: main contrib\n`,
  )
  expect(findAptSource(root)).toEqual({ mirror: 'http://two/debian', suite: 'bookworm' })
})

test('the mirror is taken from one-line sources with options', () => {
  put(
    'etc/apt/sources.list',
    '# deb http://no/debian bookworm main\ndeb-src http://no/debian bookworm main\ndeb [arch=amd64 signed-by=/x] http://yes/debian bookworm main contrib\n',
  )
  expect(findAptSource(root).mirror).toBe('http://yes/debian')
})

test.each([
  ['another release', 'Types: deb\nURIs: http://x\nSuites: trixie\nComponents: main\n'],
  ['another component', 'Types: deb\nURIs: http://x\nSuites: bookworm\nComponents: contrib\n'],
  ['sources only', 'Types: deb-src\nURIs: http://x\nSuites: bookworm\nComponents: main\n'],
  [
    'one that is switched off',
    'Enabled: no\nTypes: deb\nURIs: http://x\nSuites: bookworm\nComponents: main\n',
  ],
])('%s is no source', (_, text) => {
  put('etc/apt/sources.list.d/x.sources', text)
  expect(() => findAptSource(root)).toThrow('No source for the component main of the release "bookworm"')
})
