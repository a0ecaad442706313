import { describe, inject } from 'vitest'
import { findLab } from './lab.ts'
import type { Lab } from './lab.ts'

/** A group of tests on the lab; skipped, with the reason in its title, where no lab can run. */
export function describeLab(title: string, tests: () => void): void {
  const provided = inject('labs')
  if ('reason' in provided) describe.skip(`${title} (${provided.reason})`, tests)
  else describe(title, tests)
}

/** The lab of this worker. Call it inside a test or a hook. */
export function theLab(): Lab {
  const provided = inject('labs')
  const dirs = 'dirs' in provided ? provided.dirs : []
  const dir = dirs[Number(process.env['VITEST_POOL_ID'] ?? 1) - 1]
  const lab = dir === undefined ? undefined : findLab(dir)
  if (lab === undefined) throw new Error('The lab of this worker is not up')
  return lab
}
