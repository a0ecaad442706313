import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exec, waitFor } from './exec.ts'
import { Machine } from './machine.ts'
import { lastLines } from './processes.ts'
import type { LabState } from './state.ts'

const MiB = 1024 * 1024

export interface ArrayOptions {
  /** Size of vol1, which is sparse; default 60 GiB. */
  readonly volumeBytes?: number
  /** Size of `small`; default 1 GiB. */
  readonly smallVolumeBytes?: number
}

/** Not 0: whoever forgets `tgtadm -C` finds no daemon. The socket is in the array's own /run, so no number is taken. */
export const tgtControlPort = 17

const formatters = {
  xfs: ['mkfs.xfs', '-q', '-m', 'reflink=1,rmapbt=1'],
  btrfs: ['mkfs.btrfs', '-q'],
} as const

/** A volume's image: sparse, on a file system that shares blocks. */
async function makeVolume(
  file: string,
  sizeBytes: number,
  fileSystem: keyof typeof formatters,
): Promise<void> {
  if (existsSync(file)) return
  if (sizeBytes < 300 * MiB) throw new Error(`XFS needs 300 MiB; a volume can't have ${sizeBytes} bytes`)
  writeFileSync(`${file}.new`, '')
  await exec('truncate', ['-s', String(sizeBytes), `${file}.new`])
  const [program, ...options] = formatters[fileSystem]
  await exec(program, [...options, `${file}.new`])
  await exec('mv', [`${file}.new`, file])
}

/** The storage array: SSH, tgtd, three volumes. */
export class LabArray {
  readonly machine: Machine
  readonly #state: LabState

  constructor(state: LabState) {
    this.#state = state
    this.machine = new Machine('array', state.dir)
  }

  async start(options: ArrayOptions): Promise<void> {
    const { volumeBytes = 60 * 1024 * MiB, smallVolumeBytes = 1024 * MiB } = options
    const { root } = this.machine
    for (const mountPoint of Object.values(this.#state.array.volumes))
      mkdirSync(mountPoint, { recursive: true })
    await makeVolume(join(root, 'vol1.img'), volumeBytes, 'xfs')
    await makeVolume(join(root, 'small.img'), smallVolumeBytes, 'xfs')
    await makeVolume(join(root, 'btrfs.img'), 4096 * MiB, 'btrfs')
    await this.machine.start(this.#state.array.sshPort)
    await this.startDaemon()
  }

  get #logFile(): string {
    return join(this.machine.logDir, 'tgtd.log')
  }

  /** Starts tgtd, which knows no targets then, and waits until it answers. Running: nothing. */
  async startDaemon(): Promise<void> {
    const { portal } = this.#state.array
    await this.machine.runFile('start-tgtd.sh', [String(tgtControlPort), portal, this.#logFile])
    await waitFor(
      'tgtd to answer',
      async () => (await this.#showTargets([0, 22, 107])).exitCode === 0,
      60_000,
      () => lastLines(this.#logFile),
    )
  }

  /** SIGKILL to tgtd: every target, LUN and map is lost, initiators are cut off. Not running: nothing. */
  async killDaemon(): Promise<void> {
    const running = 'test -f /run/lab-tgtd.pid && test -d "/proc/$(cat /run/lab-tgtd.pid)"'
    await this.machine.run(`if ${running}; then kill -9 "$(cat /run/lab-tgtd.pid)"; fi`)
    await waitFor(
      'tgtd to end',
      async () => (await this.machine.run(running, { expectExit: [0, 1] })).exitCode === 1,
      60_000,
    )
  }

  /** What `tgtadm` shows; throws when the daemon does not answer. */
  async showTargets(): Promise<string> {
    return (await this.#showTargets([0])).stdout
  }

  #showTargets(expectExit: readonly number[]) {
    return this.machine.run(`tgtadm -C ${tgtControlPort} --lld iscsi --op show --mode target`, { expectExit })
  }
}
