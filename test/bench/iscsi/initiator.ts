import { execFileSync } from 'node:child_process'
import { MiB } from '#shared/units/bytes.ts'
import { createIscsiInitiator } from '#main/transports/iscsi/initiator.ts'
import { formatPortal } from '#main/transports/iscsi/portal.ts'
import { scriptedTargetName } from '#test/support/scripted-target.ts'
import { startTgtd } from '../../lab/iscsi/tgtd.ts'
import type { Tgtd } from '../../lab/iscsi/tgtd.ts'
import { figure, isWanted, print, ratios } from '../figures.ts'
import { alternate, cpus, rates, rounds } from './alternate.ts'
import { runIscsiPerf, runOurs, runQemuImg, startFastTarget } from './loads.ts'
import type { LoadRequest } from './loads.ts'

const seconds = 2
const sizeBytes = 1024 * MiB
const signal = new AbortController().signal

type Load = Pick<LoadRequest, 'transferBytes' | 'depth' | 'isRandom'>
const reads: Readonly<Record<string, Load>> = {
  read4kQd1: { transferBytes: 4096, depth: 1, isRandom: true },
  read4kQd32: { transferBytes: 4096, depth: 32, isRandom: true },
  read4kQd128: { transferBytes: 4096, depth: 128, isRandom: true },
  read256k: { transferBytes: 256 * 1024, depth: 8, isRandom: false },
  read1m: { transferBytes: MiB, depth: 4, isRandom: false },
}

/** Our initiator beside libiscsi and QEMU on a LUN in memory, and on a target that is no bottleneck. Needs root. */
export async function benchInitiator(): Promise<void> {
  const tgtd = await startTgtd({ sizeBytes })
  try {
    const source = `${tgtd.folder}/source`
    execFileSync('dd', [
      'if=/dev/urandom',
      `of=${source}`,
      'bs=1M',
      `count=${sizeBytes / MiB}`,
      'status=none',
    ])
    execFileSync('cp', [source, tgtd.file])
    await benchReads(tgtd)
    await benchWrites(tgtd, source)
    await benchMainLoop(tgtd)
  } finally {
    await tgtd.close()
  }
  await benchFastTarget()
}

async function benchReads(tgtd: Tgtd): Promise<void> {
  const lun = { portal: formatPortal(tgtd.portal), target: tgtd.target, lun: 1, seconds }
  for (const [name, load] of Object.entries(reads)) {
    if (!isWanted(`iscsi.initiator.${name}ToLibiscsi`)) continue
    const request = { ...lun, ...load }
    const { ours, theirs } = await alternate(
      () => runOurs(request),
      () => runIscsiPerf(request),
    )
    print(ratios(`iscsi.initiator.${name}ToLibiscsi`, rates(ours), rates(theirs)))
    if (name === 'read256k') print(ratios('iscsi.initiator.cpuPerGiBToLibiscsi', cpus(ours), cpus(theirs)))
    if (name === 'read4kQd128')
      print(
        figure(
          'iscsi.initiator.memoryQd128MB',
          'MB',
          ours.map(({ grownBytes }) => grownBytes / 1e6),
        ),
      )
  }
}

async function benchWrites(tgtd: Tgtd, file: string): Promise<void> {
  const name = 'iscsi.initiator.write1mToQemuImg'
  if (!isWanted(name)) return
  const request = {
    portal: formatPortal(tgtd.portal),
    target: tgtd.target,
    lun: 1,
    seconds,
    transferBytes: MiB,
    depth: 16,
    isRandom: false,
    file,
    sizeBytes,
  }
  const { ours, theirs } = await alternate(
    () => runOurs(request),
    () => runQemuImg(request),
  )
  print(ratios(name, rates(ours), rates(theirs)))
}

/** How late timers of the main thread are while the sessions' thread works at full rate. */
async function benchMainLoop(tgtd: Tgtd): Promise<void> {
  const name = 'iscsi.mainLoopDelayP99Ms'
  if (!isWanted(name)) return
  const initiator = createIscsiInitiator('iqn.2026-11.bench:console')
  const way = { portal: formatPortal(tgtd.portal), target: tgtd.target, lun: 1 }
  const device = await initiator.open(way, signal)
  const late: number[] = []
  const p99: number[] = []
  for (let round = 0; round < rounds; round++) {
    late.length = 0
    let expected = performance.now() + 5
    const timer = setInterval(() => {
      late.push(Math.max(0, performance.now() - expected))
      expected = performance.now() + 5
    }, 5)
    await device.hash(0, sizeBytes, { signal, report: () => undefined })
    clearInterval(timer)
    p99.push(late.toSorted((a, b) => a - b)[Math.floor(late.length * 0.99)] ?? Number.NaN)
  }
  print(figure(name, 'ms', p99))
  await device.close()
  await initiator.close()
}

async function benchFastTarget(): Promise<void> {
  const name = 'iscsi.initiator.read4kQd32FastTargetToLibiscsi'
  if (!isWanted(name)) return
  const target = await startFastTarget()
  const request: LoadRequest = {
    portal: target.portal,
    target: scriptedTargetName,
    lun: 0,
    transferBytes: 4096,
    depth: 32,
    isRandom: true,
    seconds,
  }
  try {
    const { ours, theirs } = await alternate(
      () => runOurs(request),
      () => runIscsiPerf(request),
    )
    print(ratios(name, rates(ours), rates(theirs)))
  } finally {
    await target.close()
  }
}
