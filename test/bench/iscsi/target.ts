import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { MiB } from '#shared/units/bytes.ts'
import { formatPortal } from '#main/transports/iscsi/portal.ts'
import { startTgtd } from '../../lab/iscsi/tgtd.ts'
import { isWanted, print, ratios } from '../figures.ts'
import { alternate, rates } from './alternate.ts'
import { runIscsiPerf, runQemuImg, startOurTarget } from './loads.ts'
import type { LoadRequest, LoadResult } from './loads.ts'

const seconds = 2
const sizeBytes = 1024 * MiB
const writeBytes = 512 * MiB

type Load = Pick<LoadRequest, 'transferBytes' | 'depth' | 'isRandom'>
const reads: Readonly<Record<string, Load>> = {
  read4kQd32: { transferBytes: 4096, depth: 32, isRandom: true },
  read256k: { transferBytes: 256 * 1024, depth: 8, isRandom: false },
  read1m: { transferBytes: MiB, depth: 4, isRandom: false },
}

/** A load with what the target's process took for it. */
interface Served extends LoadResult {
  readonly targetCpuSecondsPerGiB: number
}

/** User and system time of a process, in seconds (proc(5): fields 14 and 15, in ticks of 10 ms). */
function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

async function served(
  pid: number,
  bytes: (result: LoadResult) => number,
  load: () => Promise<LoadResult>,
): Promise<Served> {
  const before = cpuSecondsOf(pid)
  const result = await load()
  const took = cpuSecondsOf(pid) - before
  return { ...result, targetCpuSecondsPerGiB: took / (bytes(result) / 2 ** 30) }
}

/** Our target and tgtd on the same file in memory under the load of libiscsi and QEMU. Needs root. */
export async function benchTarget(): Promise<void> {
  const tgtd = await startTgtd({
    sizeBytes,
    settings: { MaxRecvDataSegmentLength: '262144', MaxXmitDataSegmentLength: '262144' },
  })
  const ours = await startOurTarget(tgtd.file, sizeBytes, tgtd.target)
  try {
    const source = `${tgtd.folder}/source`
    execFileSync('dd', [
      'if=/dev/urandom',
      `of=${source}`,
      'bs=1M',
      `count=${writeBytes / MiB}`,
      'status=none',
    ])
    execFileSync('dd', [`if=${source}`, `of=${tgtd.file}`, 'bs=1M', 'conv=notrunc', 'status=none'])
    const theirs = { portal: formatPortal(tgtd.portal), pid: tgtd.pid }
    const mine = { portal: ours.portal, pid: ours.pid }
    const lun = { target: tgtd.target, lun: 1, seconds }
    const compare = async (
      name: string,
      bytes: (result: LoadResult) => number,
      load: (portal: string) => Promise<LoadResult>,
    ): Promise<void> => {
      if (!isWanted(`iscsi.target.${name}`)) return
      const results = await alternate(
        () => served(mine.pid, bytes, () => load(mine.portal)),
        () => served(theirs.pid, bytes, () => load(theirs.portal)),
      )
      const cpus = (all: readonly Served[]): number[] =>
        all.map(({ targetCpuSecondsPerGiB }) => targetCpuSecondsPerGiB)
      print(ratios(`iscsi.target.${name}ToTgtd`, rates(results.ours), rates(results.theirs)))
      print(ratios(`iscsi.target.${name}CpuToTgtd`, cpus(results.ours), cpus(results.theirs)))
    }
    for (const [name, load] of Object.entries(reads))
      await compare(
        name,
        ({ bytesPerSecond }) => bytesPerSecond * seconds,
        (portal) => runIscsiPerf({ ...lun, ...load, portal }),
      )
    await compare(
      'write1m',
      () => writeBytes,
      (portal) =>
        runQemuImg({
          ...lun,
          portal,
          transferBytes: MiB,
          depth: 16,
          isRandom: false,
          file: source,
          sizeBytes: writeBytes,
        }),
    )
  } finally {
    await ours.close()
    await tgtd.close()
  }
}
