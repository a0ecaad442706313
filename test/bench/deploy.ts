import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OperationInput } from '#shared/contract/operations.ts'
import type { JobDetails } from '#shared/domain/job.ts'
import { GiB } from '#shared/units/bytes.ts'
import { createGantry, type Gantry } from '#main/app/gantry.ts'
import { bringUpLab, takeDownLab, type Lab } from '../lab/lab.ts'
import { domainXml } from '../lab/template/domain-xml.ts'
import { figure, median, print, ratios, seconds } from './figures.ts'
import { PlainCommands } from './plain-commands.ts'
import { writeSparseImage } from './sparse-image.ts'

const sizesGiB = [1, 4, 16] as const
const deployRuns = 7
const copyRuns = 3

/** Deployment by the console, the same device commands by a plain script, and a deployment by full copy; staging and `cp`. */
export async function benchDeploy(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'gantry-bench-'))
  const say = (text: string): void => void process.stderr.write(`${text}\n`)
  try {
    const lab = await bringUpLab({ dir: join(dir, 'lab'), log: say })
    const bench = await Bench.open(lab, join(dir, 'data'))
    for (const size of sizesGiB) {
      say(`${size} GiB: writing the template and staging it`)
      bench.writeTemplate(size)
      await bench.stage(size, `c${size}`)
    }
    await deployments(bench, say)
    await stagings(bench, say)
    await bench.close()
  } finally {
    await takeDownLab(join(dir, 'lab'))
    rmSync(dir, { recursive: true, force: true })
  }
}

async function deployments(bench: Bench, say: (text: string) => void): Promise<void> {
  const console: Record<number, number[]> = {}
  const floor: Record<number, number[]> = {}
  for (let run = 0; run < deployRuns; run += 1)
    for (const size of sizesGiB) {
      say(`deployment ${run + 1} of ${deployRuns}, ${size} GiB`)
      ;(console[size] ??= []).push(await bench.deployByConsole(size, `d${size}-${run}`))
      ;(floor[size] ??= []).push(await bench.deployPlain(size, `p${size}-${run}`))
    }
  const consoleBytes = await bench.bytesWritten(() => bench.deployByConsole(16, 'bytes'))
  const copies: number[] = []
  const copyBytes: number[] = []
  for (let run = 0; run < copyRuns; run += 1) {
    say(`full copy ${run + 1} of ${copyRuns}, 16 GiB`)
    copyBytes.push(await bench.bytesWritten(async () => copies.push(await bench.fullCopy(16, `f16-${run}`))))
  }
  const of = (figures: Record<number, number[]>, size: number): number[] => figures[size] ?? []
  const all = (figures: Record<number, number[]>): number[] => sizesGiB.flatMap((size) => of(figures, size))
  for (const size of sizesGiB) {
    print(figure(`deploy.console${size}GiBSeconds`, 's', of(console, size)))
    print(figure(`deploy.floor${size}GiBSeconds`, 's', of(floor, size)))
  }
  print(figure('deploy.fullCopy16GiBSeconds', 's', copies))
  print(ratios('deploy.consoleToFloor', all(console), all(floor)))
  print(ratios('deploy.growth1To16GiB', of(console, 16), of(console, 1)))
  const console16 = median(of(console, 16))
  print(
    figure(
      'deploy.fullCopyToConsole16GiB',
      'ratio',
      copies.map((copy) => copy / console16),
    ),
  )
  print(figure('deploy.bytesWritten16GiB', 'B', [consoleBytes]))
  print(figure('deploy.fullCopyBytesWritten16GiB', 'B', copyBytes))
  print(
    figure(
      'deploy.bytesWrittenShare16GiB',
      'ratio',
      copyBytes.map((bytes) => consoleBytes / bytes),
    ),
  )
}

async function stagings(bench: Bench, say: (text: string) => void): Promise<void> {
  const size = 4
  const console: number[] = []
  const plain: number[] = []
  for (let run = 0; run < copyRuns; run += 1) {
    say(`staging ${run + 1} of ${copyRuns}, ${size} GiB`)
    console.push(await bench.stage(size, `s${run}`))
    plain.push(await bench.copyAlone(size, `cp${run}`))
  }
  print(figure('stage.copyAndFlush4GiBSeconds', 's', console))
  print(figure('stage.cpAndFlush4GiBSeconds', 's', plain))
  print(ratios('stage.rateToCp', plain, console))
}

class Bench {
  readonly #lab: Lab
  readonly #gantry: Gantry
  readonly #plain: PlainCommands

  private constructor(lab: Lab, gantry: Gantry, plain: PlainCommands) {
    this.#lab = lab
    this.#gantry = gantry
    this.#plain = plain
  }

  static async open(lab: Lab, dataDir: string): Promise<Bench> {
    const gantry = await createGantry({ dataDir, env: {} })
    const bench = new Bench(lab, gantry, new PlainCommands(lab))
    await bench.#call('inventory.addArray', lab.arrayConfig())
    await bench.#call('inventory.addHost', lab.hostConfig())
    await bench.#plain.warmUp()
    return bench
  }

  async close(): Promise<void> {
    await this.#plain.close()
    await this.#gantry.close()
  }

  #folder(sizeGiB: number): string {
    return join(this.#lab.dir, 'host', `template-${sizeGiB}`)
  }

  writeTemplate(sizeGiB: number): void {
    const folder = this.#folder(sizeGiB)
    mkdirSync(folder)
    const disk = join(folder, 'disk0.raw')
    writeSparseImage(disk, sizeGiB * GiB)
    const uuid = `00000000-0000-4000-8000-0000000000${String(sizeGiB).padStart(2, '0')}`
    writeFileSync(join(folder, 'vm.xml'), domainXml({ name: `bench-${sizeGiB}`, uuid, memoryMiB: 128, disk }))
  }

  /** Seconds of copying and flushing: what `cp` and `sync -f` do. */
  async stage(sizeGiB: number, container: string): Promise<number> {
    const { steps } = await this.#operation({
      kind: 'stage',
      array: 'lab-array',
      volume: 'vol1',
      container,
      host: 'lab-host',
      source: { kind: 'folder', on: 'host', path: this.#folder(sizeGiB) },
    })
    const ms = steps
      .filter(({ id }) => id === 'copy' || id === 'sync')
      .map(({ startedAt = '', endedAt = '' }) => Date.parse(endedAt) - Date.parse(startedAt))
    return ms.reduce((sum, item) => sum + item, 0) / 1000
  }

  async deployByConsole(sizeGiB: number, name: string): Promise<number> {
    const taken = await seconds(() =>
      this.#operation({
        kind: 'deploy',
        array: 'lab-array',
        volume: 'vol1',
        container: `c${sizeGiB}`,
        host: 'lab-host',
        namePattern: name,
      }),
    )
    await this.#operation({ kind: 'decommission', deployments: [name] })
    return taken
  }

  async deployPlain(sizeGiB: number, name: string): Promise<number> {
    let tid = 0
    const container = `${this.#lab.state.array.volumes.vol1}/containers/c${sizeGiB}.ctr`
    const taken = await seconds(async () => (tid = await this.#plain.deploy(name, container)))
    await this.#plain.remove(name, tid)
    return taken
  }

  async fullCopy(sizeGiB: number, name: string): Promise<number> {
    let tid = 0
    const taken = await seconds(async () => {
      ;({ tid } = await this.#plain.fullCopy(name, this.#folder(sizeGiB), fileBytes(sizeGiB)))
    })
    await this.#plain.remove(name, tid)
    return taken
  }

  async copyAlone(sizeGiB: number, name: string): Promise<number> {
    const { tid, copyMs } = await this.#plain.fullCopy(name, this.#folder(sizeGiB), fileBytes(sizeGiB))
    await this.#plain.remove(name, tid)
    return copyMs / 1000
  }

  /** Bytes that the volume's own device was asked to write, all metadata and journals included. */
  async bytesWritten(work: () => Promise<unknown>): Promise<number> {
    const before = await this.#sectorsWritten()
    await work()
    return ((await this.#sectorsWritten()) - before) * 512
  }

  async #sectorsWritten(): Promise<number> {
    const volume = this.#lab.state.array.volumes.vol1
    const { stdout } = await this.#lab.array.machine.run(
      `sync -f ${volume}; device=$(findmnt -no SOURCE ${volume}); cut -c1- "/sys/block/\${device#/dev/}/stat"`,
    )
    return Number(stdout.trim().split(/\s+/)[6])
  }

  async #operation(operation: OperationInput): Promise<JobDetails> {
    const ended = new Set<string>()
    let wake = (): void => undefined
    const stop = this.#gantry.api.on((event) => {
      if (event.name !== 'jobs.jobChanged' || ['running', 'undoing'].includes(event.payload.state)) return
      ended.add(event.payload.id)
      wake()
    })
    const { jobIds } = await this.#call<{ jobIds: string[] }>('operations.start', operation)
    while (!jobIds.every((id) => ended.has(id))) await new Promise<void>((resolve) => (wake = resolve))
    stop()
    const details = await this.#call<JobDetails>('jobs.get', { jobId: jobIds[0] })
    if (details.state !== 'done')
      throw new Error(`${details.title}: ${details.state}: ${details.error?.message}`)
    return details
  }

  async #call<T>(name: string, input: unknown): Promise<T> {
    const answer = await this.#gantry.api.call(name, input)
    if (!answer.ok) throw new Error(`${name}: ${answer.error.message} ${JSON.stringify(answer.error.facts)}`)
    return answer.value as T
  }
}

/** Room for the data and the file system of a conventional deployment. */
const fileBytes = (sizeGiB: number): number => Math.ceil(sizeGiB * 1.1 * 1024) * 1024 * 1024
