import { fdatasync } from 'node:fs'
import type * as fs from 'node:fs'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { iqnOf, TargetBench } from '#test/support/target-bench.ts'
import type { TargetLunRequest } from './contract.ts'

// A disk that loses data and tells it once, as Linux does.
vi.mock('node:fs', async (original) => {
  const actual = await original<typeof fs>()
  return { ...actual, fdatasync: vi.fn(actual.fdatasync) }
})
const failOnce = (code: string): void => {
  vi.mocked(fdatasync).mockImplementationOnce((_, done) => {
    setImmediate(done, Object.assign(new Error(`${code}: fdatasync`), { code }))
  })
}

const write = { kind: 'write', length: 10, lba: 0, blocks: 1 } as const
const flush = { kind: 'synchronize-cache', length: 10, lba: 0, blocks: 0 } as const
const block = Buffer.alloc(512, 7)
const mediumError = '3h 0ch/00h writeError'
const lost = expect.objectContaining({ code: 'device-rejected', effect: 'done' })

let bench: TargetBench
let request: TargetLunRequest
beforeEach(async () => {
  bench = await TargetBench.start()
  request = await bench.addLun('web')
})
afterEach(() => bench.close())

test.each(['EIO', 'ENOSPC'])(
  'after a loss (%s) nothing is taken until the LUN is served anew',
  async (code) => {
    const session = await bench.login('web')
    const zeros = { kind: 'write-same', length: 10, lba: 0, blocks: 1 } as const
    expect((await session.command(write, { out: block })).status).toBe(0)
    failOnce(code)
    expect((await session.command(flush)).sense).toBe(mediumError)
    expect((await session.command(flush)).sense).toBe(mediumError)
    expect((await session.command(write, { out: block })).sense).toBe(mediumError)
    expect((await session.command({ ...write, fua: true }, { out: block })).sense).toBe(mediumError)
    expect((await session.command(zeros, { out: block })).sense).toBe(mediumError)
    expect((await session.command({ ...write, kind: 'read' }, { inBytes: 512 })).status).toBe(0)
    expect(bench.troubles).toEqual([expect.stringContaining(`${code}: fdatasync`)])

    await expect(bench.target.removeLun(iqnOf('web'), { force: true })).rejects.toThrow(lost)
    await bench.target.addLun(request)
    const anew = await bench.login('web')
    expect((await anew.command(write, { out: block })).status).toBe(0)
    expect((await anew.command(flush)).status).toBe(0)
  },
)

test('flushes at the same time all tell the loss', async () => {
  const session = await bench.login('web')
  failOnce('EIO')
  const tags = [session.start(flush), session.start(flush), session.start(flush)]
  for (const tag of tags) expect((await session.finish(tag)).sense).toBe(mediumError)
  await expect(bench.target.removeLun(iqnOf('web'), { force: true })).rejects.toThrow(lost)
})

test('a target that is closed tells the loss of one LUN and makes the others durable', async () => {
  await bench.addLun('db')
  const session = await bench.login('web')
  failOnce('EIO')
  await session.command(flush)
  vi.mocked(fdatasync).mockClear()
  await expect(bench.target.close()).rejects.toThrow(lost)
  expect(fdatasync).toHaveBeenCalledTimes(1)
})
