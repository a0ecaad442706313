import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sh } from '#main/transports/shell/script.ts'
import { failureOf, Scratch } from './array-bench.ts'
import { describeArrayDriver } from './array-driver.ts'
import { startEmbeddedBench } from './embedded-bench.ts'
import { inquire, logIn } from './iscsi-initiator.ts'
import { startTargetLab } from './target-lab.ts'
import type { TargetLab } from './target-lab.ts'

const host = 'iqn.2026-11.gantry.test:host-a'

async function onLab(lab: TargetLab, folder?: string) {
  const { volumes } = lab.config.settings
  return startEmbeddedBench({
    volumes: { volume: 'roomy', fullVolume: 'full', paths: volumes },
    sharesBlocks: true,
    initiator: { inquire, logIn },
    ...(folder === undefined ? {} : { folder }),
  })
}

describeArrayDriver('embedded, on XFS, with the initiators of libiscsi and QEMU', async () => {
  const lab = await startTargetLab()
  const running = await onLab(lab)
  return {
    bench: running.bench,
    async close() {
      await running.close()
      await lab.close()
    },
  }
})

let lab: TargetLab | undefined
const started = (): TargetLab => {
  if (lab === undefined) throw new Error('the lab did not start')
  return lab
}
beforeAll(async () => {
  lab = await startTargetLab()
})
afterAll(() => lab?.close())

test('a full disk under the table of LUNs: nothing is made, what is there stays, and goes on when there is room', async () => {
  const full = started().config.settings.volumes['full'] ?? ''
  const folder = join(full, 'data')
  await started().exec(sh`cd ${full} && rm -f fill.1M`)
  mkdirSync(folder)
  const array = await onLab(started(), folder)
  const scratch = new Scratch(array.bench)
  try {
    const [lun, second] = [scratch.lunOf(await scratch.create()), scratch.lunOf(await scratch.create())]
    for (const each of [lun, second]) scratch.cleanUp(() => scratch.run(scratch.driver.deleteLun(each)))
    await scratch.run(scratch.driver.createLun(lun, host))
    scratch.cleanUp(() => started().exec(sh`rm -f ${`${full}/more.1M`} ${`${full}/more.4k`}`))
    await started().exec(
      sh`cd ${full} && for size in 1M 4k; do dd if=/dev/zero of=more.$size bs=$size status=none 2>/dev/null || sync .; done`,
    )
    const { error } = await failureOf(scratch.run(scratch.driver.createLun(second, host)))
    expect(error).toMatchObject({ code: 'device-rejected', message: 'The volume is full' })
    const remove = scratch.driver.deleteLun(lun)
    expect((await failureOf(scratch.run(remove))).code).toBe('device-rejected')
    expect((await scratch.driver.listLuns(scratch.signal)).map(({ target }) => target)).toEqual([lun.target])
    expect(await scratch.canSee(lun, host)).toMatchObject({ serial: lun.serial })
    await started().exec(sh`rm -f ${`${full}/more.1M`} ${`${full}/more.4k`}`)
    await scratch.run(scratch.driver.createLun(second, host))
    await array.stop()
    expect(await scratch.driver.listLuns(scratch.signal)).toHaveLength(2)
  } finally {
    await scratch.close()
    await array.close()
    rmSync(folder, { recursive: true })
  }
})

test('a LUN from a snapshot cannot be written by its host', async () => {
  const array = await onLab(started())
  const scratch = new Scratch(array.bench)
  try {
    const snapshot = await scratch.copy(await scratch.create(), 'snapshot')
    const before = await scratch.run(scratch.driver.hashObject(snapshot))
    const lun = await scratch.createLun(scratch.lunOf(snapshot))
    await scratch.run(scratch.driver.mapLun(lun, host))
    const { portal, target } = scratch.driver.addressOf(lun)
    const image = `driver=iscsi,transport=tcp,portal=${portal},target=${target},lun=1,initiator-name=${host}`
    const write = started().exec(sh`qemu-io -c 'write -P 7 0 4096' --image-opts ${image} 2>&1`)
    await expect(write).rejects.toThrow()
    expect(await scratch.run(scratch.driver.hashObject(snapshot))).toBe(before)
  } finally {
    await scratch.close()
    await array.close()
  }
})
