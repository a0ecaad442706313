import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { makeTempDir } from '#test/unit/temp-dir.ts'
import { isLockOwnerGone, lockOwnerOf } from './lock-owner.ts'
import { vmPlaces, vmsFolder } from './places.ts'

const vm = { name: 'web', uuid: '11111111-2222-4333-8444-555555555555' }
const never = (): boolean => false

function register(): { dataDir: string; owner: string; pidFile: string; record: string } {
  const dataDir = makeTempDir()
  const { folder, record, pidFile } = vmPlaces(dataDir, vm.uuid)
  mkdirSync(folder, { recursive: true })
  writeFileSync(record, '{}')
  return { dataDir, owner: lockOwnerOf(dataDir, vm), pidFile, record }
}

test('B13: gone is a registered VM without a process that no job works on', async () => {
  const { dataDir, owner, pidFile, record } = register()
  expect(await isLockOwnerGone(dataDir, owner, never)).toBe(true)
  expect(await isLockOwnerGone(dataDir, owner, (name) => name === vm.name)).toBe(false)
  expect(await isLockOwnerGone(makeTempDir(), owner, never)).toBe(false)
  expect(await isLockOwnerGone(dataDir, owner.replace(/ of [^,]+,/, ' of another,'), never)).toBe(false)

  const child = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1e6)', pidFile], { stdio: 'ignore' })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child, 'spawn')
  writeFileSync(pidFile, String(child.pid))
  expect(await isLockOwnerGone(dataDir, owner, never)).toBe(false)
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(await isLockOwnerGone(dataDir, owner, never)).toBe(true)

  rmSync(record)
  expect(await isLockOwnerGone(dataDir, owner, never)).toBe(false)
})

test('B13: what cannot be looked at is not known to be gone', async () => {
  const dataDir = makeTempDir()
  mkdirSync(vmsFolder(dataDir))
  writeFileSync(vmPlaces(dataDir, vm.uuid).folder, 'no folder')
  expect(await isLockOwnerGone(dataDir, lockOwnerOf(dataDir, vm), never)).toBe(false)
})
