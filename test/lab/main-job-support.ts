import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { expect } from 'vitest'
import { z } from 'zod'
import { inventoryCalls } from '#shared/contract/inventory.ts'
import { deploymentSchema } from '#shared/domain/compute.ts'
import type { Deployment } from '#shared/domain/compute.ts'
import { jobDetailsSchema, jobSchema } from '#shared/domain/job.ts'
import type { JobDetails } from '#shared/domain/job.ts'
import type { GantryCommand } from './gantry-command.ts'
import type { Lab } from './lab.ts'

/** What an operation prints with --json. */
export const outcomeSchema = z.object({ jobs: z.array(jobSchema) })

/** Runs it with --json; the answer is what the contract says, and nothing beside it (U9). */
export async function ask<S extends z.ZodType>(
  gantry: GantryCommand,
  schema: S,
  args: readonly string[],
): Promise<z.output<S>> {
  const value = await gantry.json<unknown>(args)
  const parsed = schema.parse(value)
  expect(parsed).toEqual(value)
  return parsed
}

/** Runs an operation to its end and returns its jobs with steps and log; all of them are done. */
export async function runJobs(gantry: GantryCommand, args: readonly string[]): Promise<JobDetails[]> {
  const { jobs } = await ask(gantry, outcomeSchema, args)
  const details = await Promise.all(jobs.map(({ id }) => ask(gantry, jobDetailsSchema, ['jobs', 'show', id])))
  for (const job of details) expect(job).toMatchObject({ state: 'done', progress: { fraction: 1 } })
  return details
}

export const stepIds = ({ steps }: Pick<JobDetails, 'steps'>): string[] => steps.map(({ id }) => id)

export const showContainer = (gantry: GantryCommand, container: string) =>
  ask(gantry, inventoryCalls['inventory.showContainer'].output, ['containers', 'show', container])

export const listLuns = (gantry: GantryCommand) =>
  ask(gantry, inventoryCalls['inventory.listLuns'].output, ['lun', 'list', 'array'])

export async function listDeployments(gantry: GantryCommand): Promise<Deployment[]> {
  const all = await ask(gantry, z.array(deploymentSchema), ['deployments', 'list'])
  return all.toSorted((a, b) => a.name.localeCompare(b.name))
}

/** A file of a volume, as the array itself sees it. */
export async function hashOnArray(lab: Lab, path: string): Promise<string> {
  const { stdout } = await lab.array.machine.run(`sha256sum < '${lab.state.array.volumes.vol1}/${path}'`)
  return stdout.slice(0, 64)
}

export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

/** What the guest has printed on its serial console, as the host has it. */
export async function consoleOf(lab: Lab, { host, consoleLog }: Deployment): Promise<string> {
  const machine = host === 'guest' ? lab.guest : lab.host.machine
  return (await machine.run(`tr -d '\\r\\000' < ${consoleLog}`)).stdout
}

/**
 * The guest of each of these says its own UUID, and its name where its configuration has a place for it: it runs, and
 * it runs with the identity that it was given.
 */
export async function expectUp(
  lab: Lab,
  deployments: readonly Deployment[],
  options: { readonly knowsName?: boolean } = {},
): Promise<void> {
  expect(deployments).not.toEqual([])
  for (const deployment of deployments) {
    const { name, uuid } = deployment.vm
    const told = options.knowsName === false ? uuid : `${name} ${uuid}`
    expect(await consoleOf(lab, deployment)).toMatch(new RegExp(`^VMREADY +${told} .*boots=`, 'm'))
  }
}

/** The folders that the first use of a volume and of a host makes, and that stay. */
export async function makeLastingFolders(lab: Lab): Promise<void> {
  const { vol1 } = lab.state.array.volumes
  await lab.array.machine.run(`cd ${vol1} && mkdir -p containers snapshots clones`)
  await lab.host.machine.run(`mkdir -p ${lab.state.host.stateDir}/luns`)
}
