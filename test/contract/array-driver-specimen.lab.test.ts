import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Action } from '#main/drivers/action.ts'
import type { ArrayDriver } from '#main/drivers/arrays/contract.ts'
import { objectPath, volumePath } from '#main/drivers/arrays/layout.ts'
import { sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import type { ArrayBench } from './array-bench.ts'
import { arrayPromises, keepPromise } from './array-driver.ts'
import { startLinuxStorageBench } from './linux-storage-bench.ts'
import type { TargetLab } from './target-lab.ts'

/** Faults that a driver could have, each on the real array, and the promises that must report it. */
const specimens: readonly {
  readonly fault: string
  readonly spoil: (driver: ArrayDriver, lab: TargetLab) => Partial<ArrayDriver>
  readonly reportedBy: readonly string[]
}[] = [
  {
    fault: 'createObject overwrites what is there',
    spoil: ({ config }, lab) => ({
      createObject: (spec) => {
        const path = `${volumePath(config, spec.volume)}/${objectPath(spec)}`
        return scriptAction(
          lab,
          sh`truncate -s 0 ${path}; truncate -s ${spec.sizeBytes} ${path}; ln -sf ${`job=${spec.mark}`} ${path}.gantry`,
        )
      },
    }),
    reportedBy: [
      'createObject refuses a taken name as busy and leaves what is there as it is',
      'createObject refuses the name of an object that is not ours',
      'of two consoles that create the same object at once exactly one wins',
    ],
  },
  {
    fault: 'deleteObject ignores mark and LUNs',
    spoil: ({ config }, lab) => ({
      deleteObject: (ref) => {
        const path = `${volumePath(config, ref.volume)}/${objectPath(ref)}`
        return scriptAction(lab, sh`rm -f ${path} ${path}.gantry`)
      },
    }),
    reportedBy: [
      'deleteObject removes only what bears the mark, and succeeds when there is nothing',
      'deleteObject leaves an object without a mark',
      'deleteObject refuses while a LUN is made from the object (busy)',
    ],
  },
  {
    fault: 'deleteLun ignores sessions and serials',
    spoil: (_driver, lab) => ({
      deleteLun: ({ target }) =>
        scriptAction(
          lab,
          sh`t='tgtadm -C '${lab.config.settings.tgtControlPort}' --lld iscsi'
tid=$($t --op show --mode target | awk -v name=${target} '/^Target / && $3 == name { print $2 + 0 }')
[ -z "$tid" ] || $t --op delete --force --mode target --tid $tid`,
        ),
    }),
    reportedBy: [
      'a LUN of the same target name with another serial is not ours: busy, and it stays',
      'deleteLun refuses while an initiator is logged in, names it, and the session goes on (busy)',
      'unmapLun leaves a session that exists; the LUN refuses to be deleted, and a map for another initiator',
    ],
  },
  {
    fault: 'mapLun admits everybody',
    spoil: (driver, lab) => ({
      mapLun: (identity, initiator) => {
        const map = driver.mapLun(identity, initiator)
        return {
          commands: map.commands,
          async run(context) {
            await map.run(context)
            const text = await lab.tgtadm('--op', 'show', '--mode', 'target')
            const head = [...text.matchAll(/^Target (\d+): (.*)$/gm)].find(
              ([, , name]) => name === identity.target,
            )
            const tid = ['--tid', head?.[1] ?? '']
            await lab.tgtadm('--op', 'unbind', '--mode', 'target', ...tid, '--initiator-name', initiator)
            await lab.tgtadm('--op', 'bind', '--mode', 'target', ...tid, '--initiator-address', 'ALL')
          },
        }
      },
    }),
    reportedBy: ['mapLun admits this initiator alone, which is told serial and NAA of the identity (A4)'],
  },
]

function scriptAction(lab: TargetLab, script: ShellScript): Action {
  return {
    commands: [script],
    async run() {
      await lab.exec(script)
    },
  }
}

let running: Awaited<ReturnType<typeof startLinuxStorageBench>> | undefined
beforeAll(async () => {
  running = await startLinuxStorageBench()
})
afterAll(async () => {
  await running?.close()
})

for (const { fault, spoil, reportedBy } of specimens)
  test(`the suite reports a driver whose ${fault}`, async () => {
    if (running === undefined) throw new Error('the bench did not start')
    const { bench, lab } = running
    const spoiled = (driver: ArrayDriver): ArrayDriver => ({ ...driver, ...spoil(driver, lab) })
    const specimen: ArrayBench = { ...bench, driver: spoiled(bench.driver), other: spoiled(bench.other) }
    for (const name of reportedBy) {
      const promised = arrayPromises.find((candidate) => candidate.name === name)
      if (promised === undefined) throw new Error(`there is no promise "${name}"`)
      await expect(keepPromise(promised, specimen), name).rejects.toThrow()
      await lab.reset()
    }
    // What the fault does not touch still holds: the suite reports faults, not everything.
    const untouched = arrayPromises.find(({ name }) => name.startsWith('two identities'))
    if (untouched !== undefined) await keepPromise(untouched, specimen)
  })
