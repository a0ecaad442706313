import { afterAll, beforeAll, describe, test } from 'vitest'
import type { ArrayBench } from './array-bench.ts'
import { Scratch } from './array-bench.ts'
import { copyPromises } from './array-driver-copies.ts'
import { lunPromises } from './array-driver-luns.ts'
import { mapPromises } from './array-driver-maps.ts'
import { objectPromises } from './array-driver-objects.ts'

/** One promise of the contract of ArrayDriver; `keep` fails when the driver breaks it. */
export interface Promised {
  readonly name: string
  keep(scratch: Scratch): Promise<void>
}

export const arrayPromises: readonly Promised[] = [
  ...objectPromises,
  ...copyPromises,
  ...lunPromises,
  ...mapPromises,
]

/** Keeps one promise on the bench and removes what it has made; throws what went wrong first. */
export async function keepPromise(promised: Promised, bench: ArrayBench): Promise<void> {
  const scratch = new Scratch(bench)
  try {
    await promised.keep(scratch)
  } catch (error) {
    await scratch.close().catch(() => undefined)
    throw error
  }
  await scratch.close()
}

/** The suite that every array driver must pass. */
export function describeArrayDriver(
  name: string,
  setUp: () => Promise<{ bench: ArrayBench; close(): Promise<void> }>,
): void {
  describe(`${name} keeps the contract of ArrayDriver`, () => {
    let running: Awaited<ReturnType<typeof setUp>> | undefined
    beforeAll(async () => {
      running = await setUp()
    })
    afterAll(async () => {
      await running?.close()
    })
    for (const promised of arrayPromises)
      test(promised.name, async () => {
        if (running === undefined) throw new Error('the bench did not start')
        await keepPromise(promised, running.bench)
      })
  })
}
