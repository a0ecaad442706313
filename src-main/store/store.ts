import type { Journal } from '#main/jobs/journal.ts'
import { createArrayRepository } from './arrays.ts'
import type { ArrayRepository } from './arrays.ts'
import { createContainerRepository } from './containers.ts'
import type { ContainerRepository } from './containers.ts'
import { openDatabase } from './database.ts'
import { createDeploymentRepository } from './deployments.ts'
import type { DeploymentRepository } from './deployments.ts'
import { createHostRepository } from './hosts.ts'
import type { HostRepository } from './hosts.ts'
import { createJournal } from './journal.ts'
import { createLunRepository } from './luns.ts'
import type { LunRepository } from './luns.ts'
import { migrations } from './migrations/index.ts'
import { createTemplateRepository } from './templates.ts'
import type { TemplateRepository } from './templates.ts'
import { createVmRepository } from './vms.ts'
import type { VmRepository } from './vms.ts'
import { createVolumeRepository } from './volumes.ts'
import type { VolumeRepository } from './volumes.ts'

/** Everything that the console remembers. Several processes may have the same store open. No secret is ever in it. */
export interface Store {
  readonly arrays: ArrayRepository
  readonly volumes: VolumeRepository
  readonly hosts: HostRepository
  readonly containers: ContainerRepository
  readonly luns: LunRepository
  readonly deployments: DeploymentRepository
  readonly vms: VmRepository
  readonly templates: TemplateRepository
  readonly journal: Journal
  /** Another number than before when any other connection, in whatever process, has changed something. */
  dataVersion(): number
  /** Writes of several repositories as one: all are kept, or, when `work` throws, none. */
  transaction<T>(work: () => T): T
  close(): void
}

export interface StoreOptions {
  /** Time for the journal's timestamps, in milliseconds of the epoch. */
  readonly now?: () => number
}

/**
 * Opens the store in this file; makes it when it is not there and brings an older one to this version after copying
 * it beside itself. Throws not-supported (written by a newer Gantry), bad-request (not Gantry's), device-rejected.
 */
export function openStore(path: string, options: StoreOptions = {}): Store {
  const connection = openDatabase(path, migrations)
  return {
    arrays: createArrayRepository(connection),
    volumes: createVolumeRepository(connection),
    hosts: createHostRepository(connection),
    containers: createContainerRepository(connection),
    luns: createLunRepository(connection),
    deployments: createDeploymentRepository(connection),
    vms: createVmRepository(connection),
    templates: createTemplateRepository(connection),
    journal: createJournal(connection, options.now ?? Date.now),
    dataVersion: () => Number(connection.db.pragma('data_version', { simple: true })),
    transaction: (work) => connection.write(work),
    close: () => {
      connection.db.close()
    },
  }
}
