import { afterEach, beforeEach, expect, test } from 'vitest'
import type { RawInitiator } from '#test/support/raw-initiator.ts'
import { TargetBench } from '#test/support/target-bench.ts'
import { limits } from './limits.ts'

let bench: TargetBench
beforeEach(async () => {
  bench = await TargetBench.start()
  await bench.addLun('web', { sizeBytes: 64 * 1024 * 1024 })
})
afterEach(() => bench.close())

const wishes = {
  maxBurstLength: limits.burstBytes,
  firstBurstLength: limits.firstBurstBytes,
  maxOutstandingR2T: limits.r2tsOfTask,
  initialR2T: false,
}
const write = { kind: 'write', length: 16, lba: 0, blocks: limits.transferBlocks } as const
const small = { ...write, blocks: 1 } as const
const block = Buffer.alloc(512, 7)

const login = (index: number): Promise<RawInitiator> =>
  bench.login('web', { isid: `80aabbcc${index.toString(16).padStart(4, '0')}`, wishes })

/** Sessions that ask to write and send nothing, until they hold all the memory that there is. */
async function holdAll(): Promise<RawInitiator[]> {
  const holders: RawInitiator[] = []
  for (let index = 0; index < limits.targetWriteBytes / limits.sessionWriteBytes; index++) {
    const holder = await login(index)
    const outBytes = limits.sessionWriteBytes
    for (let count = 0; count < 8; count++) holder.start(write, { outBytes })
    for (let count = 0; count < outBytes / limits.burstBytes; count++)
      expect((await holder.next())?.pdu.kind).toBe('readyToTransfer')
    holders.push(holder)
  }
  return holders
}

test('a session that holds nothing waits where the others hold everything, and goes on when one ends', async () => {
  const [first] = await holdAll()
  const session = await login(99)
  const tag = session.start(small, { outBytes: 512, immediate: 0 })
  const refused = await session.command(small, { out: block })
  expect(refused.status).toBe(0x28) // TASK SET FULL
  const unasked = session.start(small, { outBytes: 512, immediate: 0, final: false })
  session.sendData(unaskedOf(unasked), block)
  expect((await session.finish(unasked)).status).toBe(0x28)
  first?.close()
  expect((await session.finish(tag, { out: block })).status).toBe(0)
  expect((await session.command(small, { out: block })).status).toBe(0)
})

const unaskedOf = (initiatorTaskTag: number): Parameters<RawInitiator['sendData']>[0] => ({
  kind: 'readyToTransfer',
  lun: new Uint8Array([0, 1, 0, 0, 0, 0, 0, 0]),
  initiatorTaskTag,
  targetTransferTag: 0xffffffff,
  statSn: 0,
  expCmdSn: 0,
  maxCmdSn: 0,
  r2tSn: 0,
  bufferOffset: 0,
  desiredDataTransferLength: 512,
})
