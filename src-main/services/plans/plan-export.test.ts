import { expect, test } from 'vitest'
import { filesOf } from './plan-export.ts'

const sha256 = 'a'.repeat(64)
const headerWith = (...paths: readonly string[]) => ({
  files: paths.map((path) => ({ path, sizeBytes: 1, sha256 })),
})

test('the files of an export are those of the container, without the configuration', () => {
  expect(filesOf(headerWith('disk0.raw', 'vm.xml', 'disk1.qcow2'), 'web').map(({ name }) => name)).toEqual([
    'disk0.raw',
    'disk1.qcow2',
  ])
})

test.each([
  ['../../.ssh/authorized_keys'],
  ['/etc/passwd'],
  ['a/b'],
  ['.hidden'],
  ['a\\b'],
  ['gantry-export.json'],
  ['VM.XML'],
  [''],
])('a container that names a file %j is refused', (name) => {
  expect(() => filesOf(headerWith('disk0.raw', name), 'web')).toThrow(
    expect.objectContaining({ code: 'bad-request', object: 'container web' }),
  )
})

test('so is one that names a file twice, also in other letters', () => {
  expect(() => filesOf(headerWith('disk0.raw', 'DISK0.raw'), 'web')).toThrow(/which is not exported/)
})
