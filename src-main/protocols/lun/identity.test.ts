import { expect, test } from 'vitest'
import { lunIdentities } from './identity.ts'

test('the best name of a LUN comes first; what is not worldwide or not a name is left out', () => {
  expect(
    lunIdentities([
      't10.LABARR  SN-1',
      'eui.0011223344556677',
      'lun-group 1',
      'naa.3000000100000001',
      'naa.60014050000000000000000000000ABC',
      'naa.60014050000000000000000000000abc',
      'iqn.2026-11.lab:web,lun 1',
    ]),
  ).toEqual([
    'naa.60014050000000000000000000000abc',
    'eui.0011223344556677',
    'iqn.2026-11.lab:web,lun 1',
    't10.LABARR  SN-1',
  ])
  expect(lunIdentities(['naa.3000000100000001'])).toEqual([])
})
