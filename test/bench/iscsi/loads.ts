import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { exec } from '../../lab/exec.ts'

/** One load on a LUN: random or sequential reads for some seconds, or a file written once (`file`). */
export interface LoadRequest {
  readonly portal: string
  readonly target: string
  readonly lun: number
  readonly transferBytes: number
  readonly depth: number
  readonly isRandom: boolean
  readonly seconds: number
  readonly dataDigest?: boolean
  readonly file?: string
}

export interface LoadResult {
  readonly bytesPerSecond: number
  readonly cpuSecondsPerGiB: number
  /** Memory above what the process had before the load; only of our own. */
  readonly grownBytes: number
}

const node = process.execPath

export async function runOurs(request: LoadRequest): Promise<LoadResult> {
  const { stdout } = await exec(node, [join(import.meta.dirname, 'load.ts'), JSON.stringify(request)])
  return JSON.parse(stdout) as LoadResult
}

/** libiscsi's own load generator; bash tells the CPU time. */
export async function runIscsiPerf({
  portal,
  target,
  lun,
  transferBytes,
  depth,
  isRandom,
  seconds,
}: LoadRequest): Promise<LoadResult> {
  const url = `iscsi://${portal}/${target}/${lun}`
  const script = `TIMEFORMAT='cpu %U %S'; time timeout -s KILL 60 iscsi-perf -i iqn.2026-11.bench:libiscsi -m ${depth} -b ${transferBytes / 512} -t ${seconds} ${isRandom ? '-r' : ''} ${url}`
  const { stdout, stderr } = await exec('bash', ['-c', script])
  const iops = [...stdout.matchAll(/iops average (\d+)/g)].at(-1)?.[1]
  const cpu = /cpu ([\d.]+) ([\d.]+)/.exec(stderr)
  if (iops === undefined || cpu === null) throw new Error(`iscsi-perf said: ${stdout} ${stderr}`)
  const bytesPerSecond = Number(iops) * transferBytes
  return {
    bytesPerSecond,
    cpuSecondsPerGiB: (Number(cpu[1]) + Number(cpu[2])) / ((bytesPerSecond * seconds) / 2 ** 30),
    grownBytes: 0,
  }
}

/** QEMU writes the file to the LUN, its writes out of order and 16 at a time. */
export async function runQemuImg(
  request: LoadRequest & { readonly file: string; readonly sizeBytes: number },
): Promise<LoadResult> {
  const url = `iscsi://${request.portal}/${request.target}/${request.lun}`
  const script = `TIMEFORMAT='cpu %U %S %R'; time timeout -s KILL 110 qemu-img convert -n -W -m 16 -f raw -O raw ${request.file} ${url}`
  const { stderr } = await exec('bash', ['-c', script])
  const times = /cpu ([\d.]+) ([\d.]+) ([\d.]+)/.exec(stderr)
  if (times === null) throw new Error(`qemu-img said: ${stderr}`)
  return {
    bytesPerSecond: request.sizeBytes / Number(times[3]),
    cpuSecondsPerGiB: (Number(times[1]) + Number(times[2])) / (request.sizeBytes / 2 ** 30),
    grownBytes: 0,
  }
}

/** A target in a process of its own. */
export interface TargetProcess {
  readonly pid: number
  readonly portal: string
  readonly close: () => Promise<void>
}

/** The target of fast-target.ts. */
export const startFastTarget = (): Promise<TargetProcess> => startTarget('fast-target.ts')

/** Our target on a file as LUN 1. */
export const startOurTarget = (file: string, sizeBytes: number, name: string): Promise<TargetProcess> =>
  startTarget('serve.ts', file, String(sizeBytes), name)

/** Runs a script that prints its portal. */
async function startTarget(script: string, ...args: string[]): Promise<TargetProcess> {
  const child = spawn(node, [join(import.meta.dirname, script), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return {
    pid: child.pid ?? 0,
    portal: line.toString().trim(),
    async close() {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
}
