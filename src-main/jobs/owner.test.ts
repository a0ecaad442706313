import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { expect, it, vi } from 'vitest'
import { currentOwner, isOwnerAlive } from './owner.ts'
import type { JobOwner } from './journal.ts'

const script = `
  import { currentOwner } from '#main/jobs/owner.ts'
  process.stdout.write(JSON.stringify(currentOwner()))
  process.stdin.resume()
`

it('an owner is alive while its process runs and dead when it was killed', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [output] = (await once(child.stdout, 'data')) as [Buffer]
  const owner = JSON.parse(output.toString()) as JobOwner
  expect([owner.pid, isOwnerAlive(owner)]).toEqual([child.pid, true])
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(isOwnerAlive(owner)).toBe(false)
})

it('this process is alive; an earlier one with its pid is not', () => {
  const owner = currentOwner()
  expect(currentOwner()).toEqual(owner)
  expect(isOwnerAlive(owner)).toBe(true)
  expect(isOwnerAlive({ ...owner, startedAt: `${owner.startedAt}0` })).toBe(false)
})

// The only platform on which Gantry looks at more than whether the pid exists.
it.runIf(process.platform === 'linux')(
  'a killed process is dead before its parent has noticed (Linux)',
  async () => {
    // sh starts a child and becomes a program that never waits for it: the killed child stays a zombie.
    const parent = spawn('/bin/sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    try {
      const [output] = (await once(parent.stdout, 'data')) as [Buffer]
      const pid = Number(output.toString())
      const fieldsOf = (): string[] =>
        readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
      const [bootId] = currentOwner().startedAt.split('/')
      const owner = { pid, startedAt: `${bootId}/${fieldsOf()[19]}` }
      expect(isOwnerAlive(owner)).toBe(true)
      const command = (): string => readFileSync(`/proc/${parent.pid}/comm`, 'latin1')
      await vi.waitFor(() => expect(command()).toBe('sleep\n'))
      process.kill(pid, 'SIGKILL')
      await vi.waitFor(() => expect(fieldsOf()[0]).toBe('Z'))
      expect(isOwnerAlive(owner)).toBe(false)
    } finally {
      parent.kill('SIGKILL')
    }
  },
)
