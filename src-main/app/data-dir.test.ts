import { expect, test } from 'vitest'
import { findDataDir } from './data-dir.ts'

const linux = { platform: 'linux', home: '/home/u' } as const

test('the folder that the user named comes first, then the variable, then the platform', () => {
  const env = { GANTRY_DATA_DIR: '/var/g', XDG_DATA_HOME: '/data' }
  expect(findDataDir({ ...linux, env, chosen: '/chosen' })).toBe('/chosen')
  expect(findDataDir({ ...linux, env })).toBe('/var/g')
  expect(findDataDir({ ...linux, env: { XDG_DATA_HOME: '/data' } })).toBe('/data/gantry')
  expect(findDataDir({ ...linux, env: { XDG_DATA_HOME: 'relative', GANTRY_DATA_DIR: '' } })).toBe(
    '/home/u/.local/share/gantry',
  )
  expect(findDataDir({ platform: 'darwin', home: '/Users/u', env: {} })).toBe(
    '/Users/u/Library/Application Support/Gantry',
  )
})
