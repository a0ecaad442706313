import { expect, test } from 'vitest'
import { runDemoCommand } from '#test/support/demo-run.ts'

interface Value {
  booted: boolean
  notBooted?: string
  vms: { name: string; says?: string }[]
  unitsFound: number
  lunsBefore: number
  lunsAfter: number
  containerSha256: string
  timings: { what: string; ms: number }[]
}

test('U8: on a computer with Node alone five VMs are deployed and verified, nothing is booted, and nothing is left', async () => {
  const { code, stdout, stderr, left } = await runDemoCommand({ args: ['--json'] })
  expect(code, stderr + stdout).toBe(0)
  const value = JSON.parse(stdout) as Value
  expect(value).toMatchObject({ booted: false, unitsFound: 5, lunsBefore: 0, lunsAfter: 0 })
  expect(value.notBooted).toMatch(/qemu/)
  expect(value.vms.map(({ name }) => name).toSorted()).toEqual(['web-1', 'web-2', 'web-3', 'web-4', 'web-5'])
  expect(value.containerSha256).toMatch(/^[0-9a-f]{64}$/)
  expect(value.timings.length).toBeGreaterThan(5)
  expect(left).toEqual([])
}, 120_000)

test('Ctrl-C in the middle of the deployment: what was made is removed', async () => {
  let isSent = false
  const { code, stdout, stderr, left } = await runDemoCommand({
    onText(text, kill) {
      if (isSent || !text.includes('$ gantry deploy')) return
      isSent = true
      kill('SIGINT')
    },
  })
  expect(code, stderr + stdout).toBe(130)
  expect(stderr).toMatch(/Interrupted/)
  expect(left).toEqual([])
}, 120_000)
