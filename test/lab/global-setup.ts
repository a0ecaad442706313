import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { bringUpLab, findLab, takeDownLab } from './lab.ts'
import { labWorkers } from './lab-workers.ts'
import { whyNoLab } from './packages.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The folders of the labs that are up, one for each worker, or why there is none. */
    labs: { readonly dirs: readonly string[] } | { readonly reason: string }
  }
}

const ownLabs: string[] = []

/**
 * For the test projects that need a lab: uses the one that GANTRY_LAB_DIR names, otherwise brings up one for each
 * worker of this run. Where none can run, says why and the tests skip; with GANTRY_REQUIRE=lab that is a failure.
 */
export async function setup(project: TestProject): Promise<void> {
  const given = process.env['GANTRY_LAB_DIR']
  if (given !== undefined && given !== '') {
    if (findLab(given) === undefined) throw new Error(`GANTRY_LAB_DIR is ${given}, but no lab is up there`)
    project.provide('labs', { dirs: [given] })
    return
  }
  const reason = whyNoLab()
  if (reason !== undefined) {
    if ((process.env['GANTRY_REQUIRE'] ?? '').split(',').includes('lab'))
      throw new Error(`GANTRY_REQUIRE asks for the lab, but ${reason}`)
    console.warn(`The tests of ${project.name} are skipped: ${reason}`)
    project.provide('labs', { reason })
    return
  }
  try {
    for (let count = labWorkers(); count > 0; count -= 1) {
      const dir = mkdtempSync(join(tmpdir(), 'gantry-lab-'))
      ownLabs.push(dir)
      await bringUpLab({ dir, log: (line) => console.warn(line) })
    }
  } catch (error) {
    await teardown().catch((left: unknown) => console.warn(left))
    throw error
  }
  project.provide('labs', { dirs: [...ownLabs] })
}

export async function teardown(): Promise<void> {
  const errors: unknown[] = []
  for (const dir of ownLabs.splice(0))
    try {
      await takeDownLab(dir)
      rmSync(dir, { recursive: true, force: true })
    } catch (error) {
      errors.push(error)
    }
  if (errors.length > 0) throw new AggregateError(errors, 'Not all that the labs had is gone')
}
