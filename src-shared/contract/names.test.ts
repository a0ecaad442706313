import { expect, test } from 'vitest'
import { calls, events } from './index.ts'
import { callNames, eventNames } from './names.ts'

test('the list of names without schemas is the contract', () => {
  expect([...callNames].toSorted()).toEqual(Object.keys(calls).toSorted())
  expect([...eventNames].toSorted()).toEqual(Object.keys(events).toSorted())
})

test('names are feature.verbNoun', () => {
  for (const name of [...callNames, ...eventNames]) expect(name).toMatch(/^[a-z]+\.[a-z][A-Za-z]+$/)
})
