import { benchInitiator } from './iscsi/initiator.ts'
import { benchTarget } from './iscsi/target.ts'

/** `npm run bench -- iscsi`: our initiator and our target beside those of others, on one machine, in turn. */
export async function benchIscsi(): Promise<void> {
  await benchInitiator()
  await benchTarget()
}
