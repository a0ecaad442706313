import { describe, inject } from 'vitest'
import { findLab } from './lab.ts'
import type { Lab } from './lab.ts'

/** A group of tests on the lab; skipped, with the reason in its title, where no lab can run. */
export function describeLab(title: string, tests: () => void): void {
  const provided = inject('lab')
  if ('reason' in provided) describe.skip(`${title} (${provided.reason})`, tests)
  else describe(title, tests)
}

/** The lab of this run. Call it inside a test or a hook. */
export function theLab(): Lab {
  const provided = inject('lab')
  const lab = 'dir' in provided ? findLab(provided.dir) : undefined
  if (lab === undefined) throw new Error('The lab of this run is not up')
  return lab
}
