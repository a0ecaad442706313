import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sh } from '#main/transports/shell/script.ts'
import { stdoutText } from '#main/transports/shell/shell.ts'
import type { SshPool, SshSession } from '#main/transports/ssh/contract.ts'
import { createSshPool } from '#main/transports/ssh/pool.ts'
import { createSecretProvider } from '#main/transports/ssh/secrets.ts'
import { startSshd, type Sshd } from './sshd.ts'

const never = new AbortController().signal
let sshd: Sshd
let pool: SshPool
let session: SshSession
let dataDir: string

beforeAll(async () => {
  sshd = await startSshd()
  dataDir = mkdtempSync(path.join(tmpdir(), 'gantry-data-'))
  pool = createSshPool({ dataDir, secrets: createSecretProvider({ env: {} }), env: {} })
  session = pool.session('array lab', sshd.connection)
})

afterAll(async () => {
  await pool.close()
  await sshd.stop()
  rmSync(dataDir, { recursive: true })
})

describe('a command over SSH', () => {
  test('gives output, standard error and exit code', async () => {
    const script = sh`printf out; printf err >&2; exit 3`
    const result = await session.run(script, { signal: never, expectExit: [3] })
    expect(stdoutText(result)).toBe('out')
    expect(result.stderr).toBe('err')
    expect(result.exitCode).toBe(3)
  })
  test('speed', async () => {
    for (let j = 0; j < 3; j++) {
      const t = performance.now()
      for (let i = 0; i < 100; i++) await session.run(sh`true`, { signal: never })
      console.log((performance.now() - t) / 100, 'ms each')
    }
    const t = performance.now()
    for (let i = 0; i < 50; i++) await session.run(sh`true`, { signal: never, tethered: true })
    console.log((performance.now() - t) / 50, 'ms each tethered')
  })
})
