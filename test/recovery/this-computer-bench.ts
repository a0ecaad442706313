import {
  closeSync,
  mkdtempSync,
  mkdirSync,
  openSync,
  readSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { templateDisk } from '#main/cli/demo/template-disk.ts'
import { headerPartitionOffsetBytes, lockRecordBytes, lockRecordOffset } from '#shared/domain/unit-layout.ts'
import { decodeLockRecord } from '#main/protocols/unit/lock-record.ts'
import type { PlannedStep } from '#shared/domain/job.ts'
import { GantryCommand, type CommandOptions, type CommandResult } from '../lab/gantry-command.ts'
import { observeRecords } from './observe-records.ts'

const patienceMs = 15_000

/** What initiators of the bench's array must prove. */
export const chapSecret = 'canary "secret", of the bench'

/** An embedded array that asks for CHAP and this computer as the host, in a folder of their own: no lab, no root. */
export class ThisComputerBench {
  readonly folder = mkdtempSync(join(tmpdir(), 'gt-'))
  readonly volume = join(this.folder, 'vol1')
  readonly gantry = new GantryCommand(join(this.folder, 'data'))
  readonly image = join(this.folder, 'web.raw')
  #beginning: readonly string[] = []

  readonly stage = (name: string): string[] => [
    ...['stage', '--layout', 'disks', '--image', this.image, '--memory', '32M', '--to', `array/vol1/${name}`],
  ]
  readonly deploy = (name: string, sign = 'VMREADY {name} '): string[] => [
    ...['deploy', 'array/vol1/base', '--host', 'host', '--name-pattern', name, '--verify'],
    ...['--start', '--wait', `serial:${sign}`],
  ]
  readonly decommission = (name: string): string[] => ['decommission', name, '--yes']

  /** Stages the container "base". */
  async open(): Promise<void> {
    mkdirSync(this.volume)
    writeFileSync(this.image, templateDisk())
    await this.ok([
      ...['array', 'add', 'array', '--driver', 'embedded', '--volume', `vol1=${this.volume}`],
      ...['--chap-user', 'bench,user', '--chap-secret-env', 'BENCH_CHAP'],
    ])
    await this.ok(['host', 'add', 'host', '--driver', 'embedded', '--accelerator', 'emulation'])
    await this.ok(this.stage('base'))
    await this.ok(this.deploy('first'))
    await this.ok(this.decommission('first'))
    this.#beginning = this.#observe()
  }

  async close(): Promise<void> {
    await this.run(this.decommission('crashed'))
    await this.run(['array', 'stop', 'array', '--force'])
    rmSync(this.folder, { recursive: true, force: true })
  }

  run(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return this.gantry.run(args, { ...options, env: { BENCH_CHAP: chapSecret, ...options.env } })
  }

  async ok(args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(args)
    expect(code, `gantry ${args.join(' ')}: ${stderr}`).toBe(0)
    return stdout
  }

  async stepsOf(args: readonly string[]): Promise<PlannedStep[]> {
    const jobs = JSON.parse(await this.ok([...args, '--plan', '--json'])) as { steps: PlannedStep[] }[]
    return jobs.flatMap(({ steps }) => steps)
  }

  /** Runs a command that is killed at a point; `failing`: a step that fails before. */
  async killAt(args: readonly string[], point: string, failing?: string): Promise<void> {
    const fail = failing === undefined ? {} : { GANTRY_FAIL_STEP: failing }
    const { code, signal, stderr } = await this.run(args, { env: { GANTRY_FAIL_AT: point, ...fail } })
    expect(signal, `${point} was not reached; exit ${code}: ${stderr}`).toBe('SIGKILL')
  }

  /** Starts it again; what became of the jobs. */
  async recover(): Promise<{ kind: string; state: string }[]> {
    const { recovered } = JSON.parse(await this.ok(['jobs', 'recover', '--json'])) as {
      recovered: { kind: string; state: string }[]
    }
    return recovered.map(({ kind, state }) => ({ kind, state }))
  }

  /** What is there and was not when the bench was opened, without ids; asks again while it is not what is expected. */
  async added(expected?: readonly string[]): Promise<string[]> {
    const deadline = performance.now() + patienceMs
    for (;;) {
      const there = this.#observe()
      const gone = this.#beginning.filter((line) => !there.includes(line)).map((line) => `gone: ${line}`)
      const added = [...there.filter((line) => !this.#beginning.includes(line)), ...gone].toSorted()
      const isSame = expected === undefined || added.join('\n') === expected.join('\n')
      if (isSame || performance.now() > deadline) return added
    }
  }

  /** Process ids of the QEMUs that run the VMs of this bench. */
  qemus(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        const line = commandLineOf(pid)
        return line.startsWith('qemu-system') && line.includes(this.folder)
      })
  }

  #observe(): string[] {
    const kept = [this.volume, join(this.gantry.dataDir, 'vms'), join(this.gantry.dataDir, 'attached')]
    const luns = JSON.parse(
      readFileSync(join(this.gantry.dataDir, 'arrays', 'array', 'luns.json'), 'utf8'),
    ) as { luns: { identity: { name: string }; initiators: string[] }[] }
    return [
      ...kept.flatMap((folder) => filesOf(folder, this.folder)),
      ...luns.luns.map(({ identity, initiators }) => `LUN ${identity.name} for ${initiators.join()}`),
      ...this.qemus().map(() => 'a QEMU runs'),
      ...observeRecords(this.gantry.dataDir).map(([what, text]) => `${what}: ${text}`),
    ]
      .map(withoutIds)
      .toSorted()
  }
}

function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

/** Sizes only of what the array holds: logs and the like grow. */
function filesOf(folder: string, base: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => {
      const path = join(entry.parentPath, entry.name)
      const isUnit = entry.isFile() && /\.(ctr|img|snap)$/.test(entry.name)
      const size = isUnit ? `, ${statSync(path).size} bytes${lockIn(path)}` : ''
      return `${path.slice(base.length)}${size}`
    })
  } catch {
    return []
  }
}

/** ", locked by ...", or nothing. */
function lockIn(path: string): string {
  const record = Buffer.alloc(lockRecordBytes)
  const file = openSync(path, 'r')
  try {
    readSync(file, record, 0, record.length, headerPartitionOffsetBytes + lockRecordOffset)
  } finally {
    closeSync(file)
  }
  const found = decodeLockRecord(record)
  return found.state === 'held' ? `, locked by ${found.lock.owner}` : ''
}

const withoutIds = (text: string): string =>
  text.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID').replaceAll(/[0-9a-f]{24,32}/g, 'ID')
