import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import type { SecretProvider, SecretRequest, SshPool } from '#main/transports/ssh/contract.ts'
import { createSshPool, type SshPoolOptions } from '#main/transports/ssh/pool.ts'

export const never = new AbortController().signal

/** A folder that is gone after the test. */
export function testDir(): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'gantry-ssh-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Answers by label, and remembers what it was asked. */
export class Answers implements SecretProvider {
  readonly asked: SecretRequest[] = []
  readonly #answers: (request: SecretRequest) => string | undefined

  constructor(answers: (request: SecretRequest) => string | undefined = () => undefined) {
    this.#answers = answers
  }

  async getSecret(request: SecretRequest): Promise<string | undefined> {
    this.asked.push(request)
    return await Promise.resolve(this.#answers(request))
  }
}

/** A pool for one test, with no settings of this computer's user. */
export function testPool(options: Partial<SshPoolOptions> = {}): SshPool {
  const dir = testDir()
  const pool = createSshPool({ dataDir: dir, homeDir: dir, env: {}, secrets: new Answers(), ...options })
  onTestFinished(async () => await pool.close())
  return pool
}

/** Waits until it is so; the test's own time limit is the limit. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo()))
    await new Promise((resolve) => {
      setTimeout(resolve, 10)
    })
}
