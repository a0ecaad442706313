import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { PlannedStep } from '#shared/domain/job.ts'
import { GantryCommand } from '../lab/gantry-command.ts'
import type { CommandOptions, CommandResult } from '../lab/gantry-command.ts'
import { diffDevices, observeDevices } from '../lab/inventory-of-devices.ts'
import type { DeviceInventory } from '../lab/inventory-of-devices.ts'
import type { Lab } from '../lab/lab.ts'
import { observeRecords } from './observe-records.ts'

/** What a recovery did to a job. */
export interface Recovered {
  readonly kind: string
  readonly state: string
}

const patienceMs = 15_000

/** The command, killed and started again, and what that leaves on the devices and in the inventory. */
export class CrashBench {
  readonly lab: Lab
  readonly gantry = new GantryCommand()
  readonly stage: (name: string) => string[]
  /** Folder of exported folders. */
  readonly #exports = mkdtempSync(join(tmpdir(), 'gantry-exports-'))
  #beginning: DeviceInventory = new Map()

  constructor(lab: Lab) {
    this.lab = lab
    this.stage = (name) => [
      ...['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', `array/vol1/${name}`],
    ]
  }

  readonly deploy = (name: string, sign = 'VMREADY'): string[] => [
    ...['deploy', 'array/vol1/base', '--host', 'host', '--name-pattern', name],
    ...['--start', '--wait', `serial:${sign}`],
  ]
  readonly export = (name: string): string[] => [
    ...['containers', 'export', 'array/vol1/base', '--host', 'host', '--to', join(this.#exports, name)],
  ]
  readonly decommission = (name: string): string[] => ['decommission', name, '--yes']

  /** Stages the container "base"; deploys once, which makes the volume's folders. */
  async open(): Promise<void> {
    await this.gantry.addLab(this.lab)
    await this.ok(this.stage('base'))
    await this.ok(this.deploy('first'))
    await this.ok(this.decommission('first'))
    await this.begin()
  }

  /** From here on differences are counted. */
  async begin(): Promise<void> {
    this.#beginning = await this.#observe()
  }

  async close(): Promise<void> {
    await this.gantry.run(['containers', 'delete', 'array/vol1/base', '--yes'])
    this.gantry.dispose()
    rmSync(this.#exports, { recursive: true, force: true })
  }

  run(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return this.gantry.run(args, options)
  }

  async ok(args: readonly string[]): Promise<string> {
    const { code, signal, stdout, stderr } = await this.run(args)
    expect(code, `gantry ${args.join(' ')} (${signal ?? 'ended'}): ${stderr}`).toBe(0)
    return stdout
  }

  /** The steps of all the jobs of a command. */
  async planOf(args: readonly string[]): Promise<PlannedStep[]> {
    const jobs = JSON.parse(await this.ok([...args, '--plan', '--json'])) as { steps: PlannedStep[] }[]
    return jobs.flatMap(({ steps }) => steps)
  }

  /** Runs a command that is killed at a point; `failing`: a step that fails before. */
  async killAt(args: readonly string[], point: string, failing?: string): Promise<void> {
    const fail = failing === undefined ? {} : { GANTRY_FAIL_STEP: failing }
    const { code, signal, stderr } = await this.run(args, { env: { GANTRY_FAIL_AT: point, ...fail } })
    expect(signal, `${point} was not reached; exit ${code}: ${stderr}`).toBe('SIGKILL')
  }

  /** Starts it again. */
  async recover(): Promise<Recovered[]> {
    const { recovered } = JSON.parse(await this.ok(['jobs', 'recover', '--json'])) as {
      recovered: Recovered[]
    }
    return recovered.map(({ kind, state }) => ({ kind, state }))
  }

  /**
   * What differs from the beginning on the devices and in the inventory, without ids. A process that was ended may be
   * seen for a moment longer: asks again while it is not what is expected.
   */
  async changes(expected?: readonly string[]): Promise<string[]> {
    const deadline = performance.now() + patienceMs
    for (;;) {
      const changes = diffDevices(this.#beginning, await this.#observe())
        .map(withoutIds)
        .toSorted()
      const same = expected === undefined || changes.join('\n') === expected.join('\n')
      if (same || performance.now() > deadline) return changes
    }
  }

  removeExport(name: string): void {
    rmSync(join(this.#exports, name), { recursive: true, force: true })
  }

  /** After a failed test: so that the next one does not fail for its leftovers. */
  async tidy(): Promise<void> {
    await this.run(['jobs', 'recover'])
    const open = JSON.parse(await this.ok(['jobs', 'list', '--open', '--json'])) as { id: string }[]
    for (const args of [
      ...open.map(({ id }) => ['jobs', 'close', id]),
      this.decommission('crashed'),
      ['lun', 'destroy', 'array/single', '--yes'],
      ['containers', 'delete', 'array/vol1/crashed', '--yes'],
    ])
      await this.run(args)
    for (const name of readdirSync(this.#exports)) this.removeExport(name)
    await this.begin()
  }

  async #observe(): Promise<DeviceInventory> {
    return new Map([
      ...(await observeDevices(this.lab)),
      ...observeRecords(this.gantry.dataDir),
      ...this.#observeExports(),
    ])
  }

  #observeExports(): [string, string][] {
    return readdirSync(this.#exports, { recursive: true, withFileTypes: true }).flatMap((entry) => {
      const path = join(entry.parentPath, entry.name)
      const size = entry.isFile() ? statSync(path).size : 'folder'
      return [[`console: ${path.slice(this.#exports.length)}`, String(size)]]
    })
  }
}

/** What is different each time although it is the same: UUIDs, serial numbers, the arguments of a process. */
const withoutIds = (text: string): string =>
  text
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID')
    .replaceAll(/[0-9a-f]{24,32}/g, 'ID')
    .replace(/^(\w+: process \S+) .*( is (new|gone): .*)$/s, '$1$2')
