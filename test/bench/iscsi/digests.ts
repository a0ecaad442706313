import { MiB } from '#shared/units/bytes.ts'
import { formatPortal } from '#main/transports/iscsi/portal.ts'
import { scriptedTargetName } from '#test/support/scripted-target.ts'
import { startTgtd } from '../../lab/iscsi/tgtd.ts'
import { isWanted, print, ratios } from '../figures.ts'
import { alternate, cpus, rates } from './alternate.ts'
import { runOurs, startFastTarget, startOurTarget } from './loads.ts'
import type { LoadRequest } from './loads.ts'

const sizeBytes = 512 * MiB
const seconds = 2

type Place = Pick<LoadRequest, 'portal' | 'target' | 'lun'>

/**
 * Our initiator with data digests beside itself without them, where the target is no bottleneck, on our target and on
 * tgtd. Needs root.
 */
export async function benchDigests(): Promise<void> {
  const fast = await startFastTarget()
  const tgtd = await startTgtd({ sizeBytes, settings: { DataDigest: 'None,CRC32C' } })
  const ours = await startOurTarget(tgtd.file, sizeBytes, tgtd.target)
  const disk = { target: tgtd.target, lun: 1 }
  try {
    await compare('iscsi.digestsToPlain', { ...fast, target: scriptedTargetName, lun: 0 })
    await compare('iscsi.digestsToPlainOurTarget', { ...disk, portal: ours.portal })
    await compare('iscsi.digestsToPlainTgtd', { ...disk, portal: formatPortal(tgtd.portal) })
  } finally {
    await ours.close()
    await tgtd.close()
    await fast.close()
  }
}

/** Rate over rate, and CPU time of the initiator over CPU time. */
async function compare(name: string, { portal, target, lun }: Place): Promise<void> {
  if (!isWanted(name)) return
  const request = { portal, target, lun, transferBytes: 256 * 1024, depth: 8, isRandom: false, seconds }
  const { ours: digests, theirs: plain } = await alternate(
    () => runOurs({ ...request, dataDigest: true }),
    () => runOurs(request),
  )
  print(ratios(name, rates(digests), rates(plain)))
  print(ratios(`${name}Cpu`, cpus(digests), cpus(plain)))
}
