import { expect, it } from 'vitest'
import { deviceKind } from '#test/unit/jobs/fake-device.ts'
import { listFailPoints, readFailPoints } from './fail-points.ts'

const steps = deviceKind('make', 'resume').steps({ dir: '/none', files: ['one'], door: true }, 'any')

it('without the environment nothing fails', () => {
  const { hit, failStep } = readFailPoints({})
  hit('make', 'one', 'after-intent')
  failStep('make', 'one')
})

it('fails the named step and no other', () => {
  const { failStep } = readFailPoints({ GANTRY_FAIL_STEP: 'make/one' })
  failStep('make', 'two')
  failStep('other', 'one')
  expect(() => failStep('make', 'one')).toThrow(expect.objectContaining({ code: 'device-rejected' }))
})

it('lists every point, with a failing last step for those of an undo', () => {
  expect(listFailPoints('make', steps).map(({ name }) => name)).toEqual([
    'make/door/after-intent',
    'make/door/after-apply',
    'make/door/after-done',
    'make/door/before-undo',
    'make/door/after-undo',
    'make/one/after-intent',
    'make/one/after-apply',
    'make/one/after-done',
    'make/one/before-undo',
    'make/one/after-undo',
    'make/close/after-intent',
    'make/close/after-apply',
    'make/close/after-done',
  ])
  expect(listFailPoints('make', steps)[3]?.env).toEqual({
    GANTRY_FAIL_AT: 'make/door/before-undo',
    GANTRY_FAIL_STEP: 'make/close',
  })
  expect(listFailPoints('make', [])).toEqual([])
})
