import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A directory of the running test; it is gone when the test has ended. */
export function makeTempDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'gantry-unit-'))
  onTestFinished(() => {
    rmSync(dir, { recursive: true, force: true })
  })
  return dir
}
