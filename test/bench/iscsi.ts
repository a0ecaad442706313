import { isWanted } from './figures.ts'
import { benchDigests } from './iscsi/digests.ts'
import { benchInitiator } from './iscsi/initiator.ts'
import { benchTarget } from './iscsi/target.ts'

/** `npm run bench -- iscsi`: our initiator and our target beside those of others, on one machine, in turn. */
export async function benchIscsi(): Promise<void> {
  if (['iscsi.initiator', 'iscsi.mainLoop'].some(isWanted)) await benchInitiator()
  if (isWanted('iscsi.digests')) await benchDigests()
  if (isWanted('iscsi.target')) await benchTarget()
}
