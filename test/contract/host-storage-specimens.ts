import type { Action } from '#main/drivers/action.ts'
import { sh } from '#main/transports/shell/script.ts'
import { never, onHost } from './host-storage-bench.ts'
import type { HostStorageBench, HostStorageDriver } from './host-storage-bench.ts'

/** A driver that is wrong in one way, and the promise that must notice. */
export interface HostSpecimen {
  readonly fault: string
  readonly brokenPromise: RegExp
  readonly spoil: (bench: HostStorageBench) => Partial<HostStorageDriver>
}

const nothing: Action = { commands: [], run: () => Promise.resolve() }

export const hostStorageSpecimens: readonly HostSpecimen[] = [
  {
    fault: 'says that it has detached and has not',
    brokenPromise: /^A4: attached, attached again/,
    spoil: () => ({ detachLun: () => nothing }),
  },
  {
    fault: 'formats whatever is there',
    brokenPromise: /^A10: a device that bears anything/,
    spoil: ({ driver, ...bench }) => ({
      prepareUnit: (spec) => ({
        commands: [],
        async run(context) {
          const found = await driver.findAttached(spec.lun, never)
          await onHost(
            { driver, ...bench },
            sh`wipefs -qa ${found?.device ?? ''}
dd if=/dev/zero of=${found?.device ?? ''} bs=1M seek=1 count=1 conv=notrunc,fsync status=none`,
          )
          return driver.prepareUnit(spec).run(context)
        },
      }),
    }),
  },
  {
    fault: 'does not wait for the array',
    brokenPromise: /^a full volume under the LUN/,
    spoil: () => ({ syncUnit: () => nothing }),
  },
  {
    fault: 'takes the checksum from the cache',
    brokenPromise: /^A6: checksums are of what the array has/,
    spoil: (bench) => ({
      hashFiles: (files) => ({
        commands: [],
        run: () =>
          Promise.all(
            files.map(async ({ path, name }) => ({
              name,
              sizeBytes: Number(await onHost(bench, sh`stat -c %s ${path}`)),
              sha256: await onHost(bench, sh`sha256sum <${path} | cut -c 1-64`),
            })),
          ),
      }),
    }),
  },
  {
    fault: 'says that it has unmounted and has not',
    brokenPromise: /^a unit in use is not unmounted/,
    spoil: () => ({ unmountUnit: () => nothing }),
  },
]
