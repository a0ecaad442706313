import { expect, test } from 'vitest'
import * as fc from 'fast-check'
import { calls } from '#shared/contract/index.ts'
import type { ContractHandlers } from '#shared/contract/index.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { createFakeCore } from '#test/support/fake-core.ts'
import { createApi } from './api.ts'
import type { Api } from './api.ts'
import { createEventHub } from './event-hub.ts'

const withHandlers = (changed: Partial<ContractHandlers>): Api => {
  const events = createEventHub()
  return createApi({ handlers: { ...createFakeCore().handlers, ...changed }, events })
}

test('a missing handler does not compile', () => {
  const { 'jobs.close': _left, ...rest } = createFakeCore().handlers
  // @ts-expect-error: jobs.close has no handler
  const incomplete: ContractHandlers = rest
  expect(incomplete).toBeDefined()
})

test('a handler with the wrong answer does not compile', () => {
  // @ts-expect-error: listArrays answers a list
  const wrong: Partial<ContractHandlers> = { 'inventory.listArrays': () => Promise.resolve({}) }
  expect(wrong).toBeDefined()
})

test('an answer is the parsed value', async () => {
  const answer = await withHandlers({}).call('jobs.list', {})
  expect(answer.ok).toBe(true)
})

test.each(['', 'jobs', 'jobs.none', 'constructor', '__proto__', 'toString'])(
  'no such call: %j',
  async (name) => {
    const answer = await withHandlers({}).call(name, {})
    expect(answer).toMatchObject({ ok: false, error: { code: 'bad-request', object: name } })
  },
)

test('wrong fields are named by their path in plain words', async () => {
  const input = {
    kind: 'deploy',
    array: 'a b',
    volume: 'v',
    container: 'c',
    host: 'h',
    count: 0,
    wait: { kind: 'serial', text: 7 },
  }
  const answer = await withHandlers({}).call('operations.plan', input)
  expect(answer).toMatchObject({
    ok: false,
    error: {
      code: 'bad-request',
      message:
        '"array" is not accepted: use 1 to 63 letters, digits, ".", "-" or "_", beginning with a letter or digit; ' +
        '"count" must be at least 1; "namePattern" is missing; "wait.text" must be a string',
    },
  })
})

test('an unknown kind names the kinds or says that there is none', async () => {
  const answer = await withHandlers({}).call('operations.plan', { kind: 'format-everything' })
  expect(answer).toMatchObject({
    ok: false,
    error: { message: '"kind" is none of the kinds there are' },
  })
})

test('a value that was sent is never repeated in the error: it may be a secret', async () => {
  const answer = await withHandlers({}).call('inventory.addArray', { password: 'canary', name: ['canary'] })
  expect(JSON.stringify(answer)).not.toContain('canary')
})

test('an answer that breaks the contract is a bug, and the value does not get out', async () => {
  const api = withHandlers({ 'jobs.list': () => Promise.resolve([{ id: 'canary' }] as never) })
  const answer = await api.call('jobs.list', {})
  expect(answer).toMatchObject({ ok: false, error: { code: 'bug', object: 'jobs.list', effect: 'unknown' } })
  expect(JSON.stringify(answer)).not.toContain('canary')
})

test('a field that the contract does not name does not get out', async () => {
  const { handlers } = createFakeCore()
  const api = withHandlers({
    'inventory.listHosts': async () =>
      (await handlers['inventory.listHosts']({})).map((host) => ({ ...host, password: 'canary' })),
  })
  const answer = await api.call('inventory.listHosts', {})
  expect(answer.ok).toBe(true)
  expect(JSON.stringify(answer)).not.toContain('canary')
})

test('what a handler throws becomes an answer with code, facts and causes', async () => {
  const error = new AppError('busy', 'The container is in use', {
    object: 'container web',
    facts: { job: 'j1' },
    cause: new Error('inner'),
  })
  const api = withHandlers({ 'jobs.list': () => Promise.reject(error) })
  expect(await api.call('jobs.list', {})).toEqual({
    ok: false,
    error: {
      code: 'busy',
      message: 'The container is in use',
      object: 'container web',
      effect: 'none',
      facts: { job: 'j1' },
      causes: ['inner'],
    },
  })
  const synchronous = withHandlers({
    'jobs.list': () => {
      throw new TypeError('broken')
    },
  })
  expect(await synchronous.call('jobs.list', {})).toMatchObject({ ok: false, error: { code: 'bug' } })
})

test('random input never rejects and never reaches a handler unparsed', async () => {
  const api = withHandlers({})
  const names = fc.oneof(fc.constantFrom(...Object.keys(calls)), fc.string())
  await fc.assert(
    fc.asyncProperty(names, fc.jsonValue(), async (name, input) => {
      const answer = await api.call(name, input)
      if (!answer.ok) expect(['bad-request', 'not-found']).toContain(answer.error.code)
    }),
  )
})

test('events reach listeners parsed; a broken payload and a throwing listener are faults, not exceptions', () => {
  const faults: AppError[] = []
  const hub = createEventHub((fault) => faults.push(fault))
  const seen: unknown[] = []
  const stopThrowing = hub.on(() => {
    throw new Error('listener')
  })
  const stop = hub.on((event) => seen.push(event))
  hub.emit('jobs.stepChanged', { jobId: 'j', stepId: 's', state: 'done', extra: 'canary' } as never)
  expect(seen).toEqual([{ name: 'jobs.stepChanged', payload: { jobId: 'j', stepId: 's', state: 'done' } }])
  expect(faults.map((fault) => fault.message)).toEqual(['listener'])
  stopThrowing()
  hub.emit('jobs.stepChanged', { jobId: 7 } as never)
  expect(faults[1]).toMatchObject({ code: 'bug', object: 'jobs.stepChanged' })
  stop()
  hub.emit('inventory.inventoryChanged', {})
  expect(seen).toHaveLength(1)
})
