import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ContractHandlers } from '#shared/contract/index.ts'
import { placeOfFiles } from '#shared/domain/place.ts'
import { createApi, type Api } from '#main/api/api.ts'
import { createEventHub } from '#main/api/event-hub.ts'
import { createJobs } from '#main/jobs/jobs.ts'
import { currentOwner, isOwnerAlive } from '#main/jobs/owner.ts'
import { decommissionKind } from '#main/jobs/kinds/decommission.ts'
import { deployKind } from '#main/jobs/kinds/deploy.ts'
import { exportKind } from '#main/jobs/kinds/export.ts'
import { restoreKind } from '#main/jobs/kinds/restore.ts'
import { singleStepKind } from '#main/jobs/kinds/single-steps.ts'
import { stageKind } from '#main/jobs/kinds/stage.ts'
import { stageDisksKind } from '#main/jobs/kinds/stage-disks.ts'
import type { UnitWorkParts } from '#main/jobs/kinds/unit-steps.ts'
import { unitWorkKind } from '#main/jobs/kinds/unit-work.ts'
import { createConnections } from '#main/services/connections.ts'
import { createContainers } from '#main/services/containers.ts'
import type { ServiceContext } from '#main/services/context.ts'
import { followOthers } from '#main/services/follow-others.ts'
import { createInventory } from '#main/services/inventory.ts'
import { createJobHandlers } from '#main/services/jobs.ts'
import { openExportFolder } from '#main/services/exports/local-folder.ts'
import { createOperations } from '#main/services/operations.ts'
import { restoreLunsForJobs } from '#main/services/restore-for-jobs.ts'
import { openImageContent } from '#main/services/templates/image-content.ts'
import { readConsoleTemplate } from '#main/services/templates/read-template.ts'
import { localFiles } from '#main/services/templates/local-files.ts'
import { serverFiles } from '#main/services/templates/server-files.ts'
import type { OpenSourceFiles } from '#main/services/templates/source-files.ts'
import { templateFileOpener } from '#main/services/templates/template-content.ts'
import { createUnits } from '#main/services/units/units.ts'
import { openStore } from '#main/store/store.ts'
import { createSshPool } from '#main/transports/ssh/pool.ts'
import { createSecretProvider } from '#main/transports/ssh/secrets.ts'
import { createChapSecrets } from './chap-secrets.ts'
import { createDevices } from './devices.ts'
import { consoleInitiatorName } from './initiator-name.ts'
import { createLocks } from './lock-owner.ts'
import { openLun } from './open-lun.ts'
import { inventoryRecords } from './records.ts'
import { createUnitDevices } from './unit-devices.ts'
import { productVersion } from './version.ts'

export interface GantryOptions {
  /** Folder of the database and of Gantry's known_hosts; made with mode 0700. */
  readonly dataDir: string
  readonly env: NodeJS.ProcessEnv
  /** Asks the user for a secret; absent where nobody can be asked. */
  readonly prompt?: (label: string, signal: AbortSignal) => Promise<string | undefined>
  /** Tell by events what other processes do with the same inventory: for what shows it all the time. */
  readonly followsOthers?: boolean
}

export interface Gantry {
  readonly api: Api
  /** Begins to finish or undo what a console that died has left, each job as its kind says. Resolves with their ids. */
  recover(): Promise<string[]>
  close(): Promise<void>
}

/** Builds the core in order: store, sessions, drivers, jobs, services, api. */
export async function createGantry({ dataDir, env, prompt, followsOthers }: GantryOptions): Promise<Gantry> {
  const store = openStore(join(dataDir, 'gantry.db'))
  const secrets = createSecretProvider({ env, ...(prompt === undefined ? {} : { prompt }) })
  const ssh = createSshPool({ dataDir, env, secrets })
  const events = createEventHub()
  const initiatorName = consoleInitiatorName(dataDir)
  const chapSecrets = createChapSecrets(secrets)
  const unitDevices = createUnitDevices(chapSecrets, initiatorName)
  const devices = createDevices({
    store,
    ssh,
    secrets: chapSecrets,
    computer: {
      dataDir,
      initiatorName,
      openLun: (lun, way, signal) => openLun(unitDevices, lun, way, signal),
    },
  })
  const records = inventoryRecords(store)
  const locks = createLocks(dataDir, store.journal)
  const openSourceFiles: OpenSourceFiles = (on, signal) =>
    on === 'console' ? localFiles(signal) : serverFiles(ssh.session(placeOfFiles(on), on.server), signal)
  const openTemplateFile = templateFileOpener(openSourceFiles)
  const unitWork: UnitWorkParts = {
    unitDevices,
    openImage: (path, options) => openImageContent(path, { ...options, tempDir: tmpdir() }),
  }
  const jobs = createJobs({
    journal: store.journal,
    kinds: [
      stageKind({ devices, records, openTemplateFile }),
      stageDisksKind({ devices, records, openTemplateFile, ...unitWork }),
      deployKind({ devices, records, locks, ...unitWork }),
      decommissionKind({ devices, records, locks, unitDevices }),
      exportKind({ devices, records, openFolder: openExportFolder }),
      restoreKind({ devices, locks, unitDevices }),
      singleStepKind(devices, records),
      unitWorkKind(unitWork),
    ],
    owner: currentOwner(),
    isAlive: isOwnerAlive,
    env,
    onEvent: (event) => {
      events.emit(event.name, event.payload)
      if (event.name === 'jobs.jobChanged') events.emit('inventory.inventoryChanged', {})
    },
  })
  const context: ServiceContext = {
    devices,
    store,
    jobs,
    productVersion,
    inventoryChanged: () => events.emit('inventory.inventoryChanged', {}),
    unitDevices,
    initiatorName,
    openSourceFiles,
    readTemplate: (host, source, signal) =>
      source.kind !== 'domain' && source.on !== 'host'
        ? readConsoleTemplate(source, {
            openSourceFiles,
            signal,
            buildConfiguration: (vm, disks) => devices.host(host).buildConfiguration(vm, disks),
          })
        : devices.host(host).readTemplate(source, signal),
  }
  const handlers: ContractHandlers = {
    ...createConnections(ssh),
    ...createInventory(context, devices.candidates),
    ...createContainers(context),
    ...createOperations(context),
    ...createUnits({ unitDevices, locks }),
    ...createJobHandlers(context),
  }
  const stopFollowing =
    followsOthers === true
      ? followOthers(context, (name, payload) => events.emit(name, payload))
      : () => undefined
  return {
    api: createApi({ handlers, events }),
    async recover() {
      const left = jobs.list().filter(({ state }) => state === 'interrupted')
      await restoreLunsForJobs(
        context,
        left.map(({ id }) => id),
      )
      return jobs.recover().flatMap(({ jobId, outcome }) => (outcome === 'left' ? [] : [jobId]))
    },
    async close() {
      stopFollowing()
      await jobs.stop('leave')
      await unitDevices.close()
      await ssh.close()
      store.close()
    },
  }
}
