import { expect, test } from 'vitest'
import { describeLab } from '../describe-lab.ts'
import { cuReasons, reasonFor } from './cu-reasons.ts'
import { listCuTests, runCuTests } from './test-cu.ts'

describeLab('iscsi-test-cu against the target', () => {
  test('passes but for the tests with a written reason, and the target outlives all', async () => {
    const names = await listCuTests()
    expect(names.length).toBeGreaterThanOrEqual(230)
    const results = await runCuTests(names)
    const bad = results.filter(({ name, outcome }) => outcome !== 'passed' && reasonFor(name) === undefined)
    expect(bad).toEqual([])
    expect(results.filter(({ outcome }) => outcome === 'passed').length).toBeGreaterThanOrEqual(200)
    const suites = new Set(names.map((name) => name.slice(0, name.indexOf('.'))))
    for (const name of Object.keys(cuReasons)) expect(names.includes(name) || suites.has(name)).toBe(true)
  })
})
