import { afterAll, afterEach, beforeAll, test } from 'vitest'
import { createHostStorage } from '#main/drivers/hosts/libvirt/storage.ts'
import { sh } from '#main/transports/shell/script.ts'
import { stdoutText } from '#main/transports/shell/shell.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import type { LibvirtHostConfig } from '#shared/domain/compute.ts'
import type { LunAddress } from '#shared/domain/storage.ts'
import { hostStoragePromises } from '#test/contract/host-storage.ts'
import type { HostPromise, HostStorageBench, HostStorageDriver } from '#test/contract/host-storage-bench.ts'
import { chapSecretsOf } from '#test/support/chap-secrets.ts'
import { startScratchArray } from './scratch-array.ts'
import type { ScratchArray } from './scratch-array.ts'

export interface HostUnderTest {
  readonly config: LibvirtHostConfig
  readonly shell: Shell
  /** The name that the host logs in with. */
  readonly initiator: string
  /** This computer's address as the host sees it, where that is not 127.0.0.1. */
  readonly address?: string
}

/**
 * One test for each promise, on LUNs of an array of this group's own; returns how further tests get a bench.
 * `open` is called once, before the first test.
 */
export function runHostPromises(
  open: () => Promise<HostUnderTest>,
  select: (promise: HostPromise) => boolean = () => true,
): () => Promise<HostStorageBench> {
  let host: HostUnderTest
  let array: ScratchArray
  let scratch: string
  const used: LunAddress[] = []
  const driverThatKnows = (secret: string | undefined): HostStorageDriver =>
    createHostStorage(host.config, host.shell, chapSecretsOf(secret))
  const run = async (script: ReturnType<typeof sh>): Promise<string> =>
    stdoutText(await host.shell.run(script, { signal: AbortSignal.timeout(60_000) })).trimEnd()

  beforeAll(async () => {
    host = await open()
    array = await startScratchArray(host)
    scratch = await run(sh`mktemp -d`)
  })
  afterAll(async () => {
    await array.stop()
    await run(sh`rm -r ${scratch}; rmdir ${host.config.settings.stateDir}/luns`)
  })
  // what a failed promise has left would stay on the host when its array is gone
  afterEach(async () => {
    const signal = AbortSignal.timeout(120_000)
    const driver = driverThatKnows(undefined)
    for (const lun of used.splice(0))
      if ((await driver.findAttached(lun, signal)) !== undefined) {
        await driver.unmountUnit(lun).run({ signal })
        await driver.detachLun(lun).run({ signal })
      }
  })

  async function newBench(): Promise<HostStorageBench> {
    return {
      driver: driverThatKnows(undefined),
      driverThatKnows,
      shell: host.shell,
      scratch: await run(sh`mktemp -d -p ${scratch}`),
      async newLun(sizeBytes, onFullVolume) {
        const lun = await array.newLun(sizeBytes, onFullVolume)
        used.push(lun)
        return lun
      },
      replaceLun: (lun) => array.replace(lun),
      protectLun: (lun) => array.protect(lun),
      askForChap: (lun, user, secret) => array.askForChap(lun, user, secret),
      countSessions: (lun) => array.sessions(lun),
      backingOf: (lun) => array.backingOf(lun),
    }
  }

  for (const promise of hostStoragePromises.filter(select))
    test(promise.name, async () => {
      await promise.run(await newBench())
    })
  return newBench
}
