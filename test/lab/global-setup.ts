import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { bringUpLab, findLab, takeDownLab } from './lab.ts'
import { whyNoLab } from './packages.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder of the lab that is up, or why there is none. */
    lab: { readonly dir: string } | { readonly reason: string }
  }
}

let ownLab: string | undefined

/**
 * For the test projects that need a lab: uses the one that GANTRY_LAB_DIR names, otherwise brings one up for this
 * run. Where none can run, says why and the tests skip; with GANTRY_REQUIRE=lab that is a failure.
 */
export async function setup(project: TestProject): Promise<void> {
  const given = process.env['GANTRY_LAB_DIR']
  if (given !== undefined && given !== '') {
    if (findLab(given) === undefined) throw new Error(`GANTRY_LAB_DIR is ${given}, but no lab is up there`)
    project.provide('lab', { dir: given })
    return
  }
  const reason = whyNoLab()
  if (reason !== undefined) {
    if ((process.env['GANTRY_REQUIRE'] ?? '').split(',').includes('lab'))
      throw new Error(`GANTRY_REQUIRE asks for the lab, but ${reason}`)
    console.warn(`The tests of ${project.name} are skipped: ${reason}`)
    project.provide('lab', { reason })
    return
  }
  const dir = mkdtempSync(join(tmpdir(), 'gantry-lab-'))
  ownLab = dir
  try {
    await bringUpLab({ dir, log: (line) => console.warn(line) })
  } catch (error) {
    await teardown()
    throw error
  }
  project.provide('lab', { dir })
}

export async function teardown(): Promise<void> {
  if (ownLab === undefined) return
  await takeDownLab(ownLab)
  rmSync(ownLab, { recursive: true, force: true })
  ownLab = undefined
}
