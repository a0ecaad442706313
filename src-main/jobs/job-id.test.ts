import { expect, it } from 'vitest'
import { nameSchema } from '#shared/domain/names.ts'
import { createJobIds, newJobId } from './job-id.ts'

it('job ids are short, fit for names on devices, and sort by time', () => {
  let time = Date.parse('2026-11-20T10:00:00Z')
  const next = createJobIds(() => time)
  const ids = [next()]
  for (const ms of [1, 1, 31, 1000, 86_400_000, 40_000_000_000]) {
    time += ms
    ids.push(next())
  }
  expect(ids.toSorted()).toEqual(ids)
  for (const id of ids) expect(id).toMatch(/^[0-9a-hjkmnp-tv-z]{14}$/)
  expect(nameSchema.safeParse(newJobId()).success).toBe(true)
})

it('job ids of one process differ and sort also when the clock stands still or goes back', () => {
  let time = 5000
  const next = createJobIds(() => time--)
  const ids = Array.from({ length: 1000 }, next)
  expect(new Set(ids).size).toBe(1000)
  expect(ids.toSorted()).toEqual(ids)
})

it('job ids of two processes in the same millisecond differ', () => {
  const ids = Array.from({ length: 100 }, () => createJobIds(() => 5000)())
  expect(new Set(ids.map((id) => id.slice(0, 9))).size).toBe(1)
  expect(new Set(ids).size).toBe(100)
})
