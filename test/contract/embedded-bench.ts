import { mkdtempSync, mkdirSync, rmSync } from 'node:fs'
import { open, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { embeddedConfigSchema } from '#shared/domain/storage.ts'
import type { EmbeddedConfig, ObjectRef } from '#shared/domain/storage.ts'
import { MiB } from '#shared/units/bytes.ts'
import type { ArrayDriver } from '#main/drivers/arrays/contract.ts'
import { backupOf, encodeTable, readTable } from '#main/drivers/arrays/embedded/daemon/state-file.ts'
import { daemonPlaces } from '#main/drivers/arrays/embedded/daemon/places.ts'
import { createEmbeddedArray } from '#main/drivers/arrays/embedded/driver.ts'
import { choosePort } from '#main/drivers/arrays/embedded/portal.ts'
import { objectPath, volumePath } from '#main/drivers/arrays/layout.ts'
import type { ArrayBench } from './array-bench.ts'
import { chapSecretsOf } from '#test/support/chap-secrets.ts'
import { inquire, logIn } from './own-initiator.ts'

export const lunLimitOfBench = 4
const never = new AbortController().signal

export interface EmbeddedBench {
  readonly bench: ArrayBench
  readonly config: EmbeddedConfig
  /** Of the process that serves LUNs. */
  readonly folder: string
  /** A further console on the same array. */
  readonly console: (config?: EmbeddedConfig, password?: string) => ArrayDriver
  readonly stop: () => Promise<void>
  readonly close: () => Promise<void>
}

export interface EmbeddedBenchOptions {
  /** Volumes that there are; default: one folder of its own below the folder for temporary files. */
  readonly volumes?: {
    readonly volume: string
    readonly fullVolume?: string
    readonly paths: Record<string, string>
  }
  readonly sharesBlocks?: boolean
  /** Of the process; default: one below the folder for temporary files. */
  readonly folder?: string
  readonly initiator?: Pick<ArrayBench, 'inquire' | 'logIn'>
}

/** An embedded array with its data folder and its process, which ends with the bench. */
export async function startEmbeddedBench(options: EmbeddedBenchOptions = {}): Promise<EmbeddedBench> {
  const base = mkdtempSync(join(tmpdir(), 'gantry-embedded-'))
  // a name that a shell would break on, and no room for a socket beside the table
  const folder = options.folder ?? join(base, `it's "the" data folder $1`, 'arrays', 'lab')
  const own = join(base, 'volume')
  mkdirSync(own)
  const { volumes = { volume: 'own', paths: { own } }, initiator = { inquire, logIn } } = options
  const config = await choosePort(
    embeddedConfigSchema.parse({
      name: 'lab',
      driver: 'embedded',
      settings: { volumes: volumes.paths, lunLimitPerVolume: lunLimitOfBench },
    }),
  )
  const console = (of = config, password?: string): ArrayDriver =>
    createEmbeddedArray(of, {
      folder,
      productVersion: '0.0.0',
      secrets: chapSecretsOf(password),
    })
  const driver = console()
  const stop = async (): Promise<void> => {
    await driver.stop?.({ force: true }).run({ signal: never })
  }
  const { table } = daemonPlaces(folder)
  const path = (ref: ObjectRef): string => join(volumePath(config, ref.volume), objectPath(ref))

  const bench: ArrayBench = {
    driver,
    other: console(),
    volume: volumes.volume,
    ...(volumes.fullVolume === undefined ? {} : { fullVolume: volumes.fullVolume }),
    sharesBlocks: options.sharesBlocks ?? false,
    async writeObject(ref, offset, bytes) {
      const file = await open(path(ref), 'r+')
      await file.write(bytes, 0, bytes.length, offset)
      await file.sync()
      await file.close()
    },
    async placeForeignObject(ref) {
      await mkdir(dirname(path(ref)), { recursive: true })
      await writeFile(path(ref), Buffer.alloc(MiB))
    },
    removeForeignObject: (ref) => rm(path(ref)),
    async placeMarkOnly(ref, mark) {
      await mkdir(dirname(path(ref)), { recursive: true })
      await symlink(`job=${mark}`, `${path(ref)}.gantry`)
    },
    async changeSerial({ target }, serial) {
      await stop()
      const luns = (await readTable(table)).map((lun) =>
        lun.identity.target === target ? { ...lun, identity: { ...lun.identity, serial } } : lun,
      )
      await writeFile(table, encodeTable(luns))
    },
    async loseLuns() {
      await stop()
      await rm(table, { force: true })
      await rm(backupOf(table), { force: true })
    },
    ...initiator,
  }
  return {
    bench,
    config,
    folder,
    console,
    stop,
    async close() {
      await stop()
      rmSync(base, { recursive: true })
    },
  }
}
