import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MiB } from '#shared/units/bytes.ts'
import type { Action } from '#main/drivers/action.ts'
import { volumePath } from '#main/drivers/arrays/layout.ts'
import { createLinuxStorageArray } from '#main/drivers/arrays/linux-storage/driver.ts'
import { linuxStorageConfigSchema } from '#shared/domain/storage.ts'
import type { ArrayDriver } from '#main/drivers/arrays/contract.ts'
import { lines, sh } from '#main/transports/shell/script.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import { Scratch } from './array-bench.ts'
import { startLinuxStorageBench } from './linux-storage-bench.ts'

/** Tools that the scripts call to change something; each is a place where power or connection may be cut. */
const tools = ['mkdir', 'sync', 'ln', 'rm', 'truncate', 'cp', 'chmod', 'tgtadm']

let running: Awaited<ReturnType<typeof startLinuxStorageBench>> | undefined
let folder = ''
beforeAll(async () => {
  running = await startLinuxStorageBench()
  folder = mkdtempSync(join(tmpdir(), 'gantry-cut-'))
  mkdirSync(join(folder, 'bin'))
  for (const tool of tools) {
    const path = join(folder, 'bin', tool)
    writeFileSync(path, cutter(tool))
    chmodSync(path, 0o755)
  }
})
afterAll(async () => {
  await running?.close()
  rmSync(folder, { recursive: true })
})

/** A tool that counts down, and at its turn kills the whole script instead of doing its work. */
const cutter = (tool: string): string => `#!/bin/sh
PATH=$REAL_PATH
read -r left <"$CUT_FILE"
echo $((left - 1)) >"$CUT_FILE"
[ "$left" -gt 0 ] || kill -9 0
exec ${tool} "$@"
`

/** The driver, whose scripts are killed (SIGKILL: no trap runs) at their n-th change. */
function cutAt(count: number, driver: ArrayDriver, shell: Shell): ArrayDriver {
  const file = join(folder, 'left')
  writeFileSync(file, `${count}\n`)
  const prefix = sh`export REAL_PATH="$PATH" CUT_FILE=${file} PATH=${join(folder, 'bin')}:"$PATH"`
  return createLinuxStorageArray(linuxStorageConfigSchema.parse(driver.config), {
    name: shell.name,
    run: (script, options) => shell.run(lines(prefix, script), options),
  })
}

interface Work {
  readonly name: string
  /** Steps that are not cut; returns what is cut and how it is asked about and undone. */
  prepare(scratch: Scratch): Promise<{
    act: (driver: ArrayDriver) => Action
    undo: Action
    isThere: () => Promise<boolean>
  }>
}

const works: readonly Work[] = [
  {
    name: 'createObject',
    async prepare(scratch) {
      const ref = scratch.ref()
      const { driver, job, signal } = scratch
      return {
        act: (cut) => cut.createObject({ ...ref, sizeBytes: MiB, mark: job }),
        undo: driver.deleteObject(ref, job),
        isThere: async () => (await driver.findObject(ref, signal))?.sizeBytes === MiB,
      }
    },
  },
  {
    name: 'snapshotObject',
    async prepare(scratch) {
      const from = await scratch.create()
      const to = scratch.ref('snapshot')
      const { driver, job, signal } = scratch
      return {
        act: (cut) => cut.snapshotObject?.({ from, to, mark: job }) ?? driver.deleteObject(to, job),
        undo: driver.deleteObject(to, job),
        isThere: async () => (await driver.findObject(to, signal))?.sizeBytes === 4 * MiB,
      }
    },
  },
  {
    name: 'createLun',
    async prepare(scratch) {
      const spec = scratch.lunOf(await scratch.create())
      const { driver, signal } = scratch
      return {
        act: (cut) => cut.createLun(spec),
        undo: driver.deleteLun(spec),
        isThere: async () => (await driver.findLun(spec, signal))?.sizeBytes === 4 * MiB,
      }
    },
  },
]

for (const work of works)
  test(`${work.name} cut off at any point can be undone without a trace, or run again to its end`, async () => {
    if (running === undefined) throw new Error('the bench did not start')
    const { bench, lab } = running
    const everything = async (): Promise<string> =>
      `${await lab.exec(sh`find ${volumePath(lab.config, 'roomy')} -mindepth 2 | sort`)}${await lab.tgtadm('--op', 'show', '--mode', 'target')}`
    let cuts = 0
    for (let ended = false; !ended; cuts++) {
      for (const after of ['undo', 'again'] as const) {
        const scratch = new Scratch(bench)
        const { act, undo, isThere } = await work.prepare(scratch)
        const before = await everything()
        const end = await Promise.allSettled([scratch.run(act(cutAt(cuts, bench.driver, lab.shell)))])
        ended = end[0]?.status === 'fulfilled'
        if (after === 'again') {
          await scratch.run(act(bench.driver))
          expect(await isThere(), `run again after cut ${cuts}`).toBe(true)
        }
        await scratch.run(undo)
        expect(await everything(), `${after} after cut ${cuts}`).toBe(before)
        await scratch.close()
      }
    }
    // One round more than there are cuts: the last one ran to its end.
    expect(cuts).toBeGreaterThan(3)
  })
