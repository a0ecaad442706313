import type { FileSystemType, LunAddress, ObjectRef, OsType } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import type { Devices } from '#main/drivers/devices.ts'
import type { FileChecksum, HostDriver } from '#main/drivers/hosts/contract.ts'
import { unitFilesOf } from '#main/drivers/unit-files.ts'
import type { JobKind, Step } from '../step.ts'
import { deviceStep } from './device-step.ts'
import { exportMarkName, type ExportFolder, type OpenExportFolder } from './export-folder.ts'
import {
  arrayTarget,
  attachMountedStep,
  copyObjectStep,
  hostTarget,
  mappedLunStep,
  takeOfflineSteps,
} from './lun-steps.ts'
import type { InventoryRecords } from './records.ts'
import { configurationFileName } from './stage-copy.ts'

export interface ExportPlan {
  array: string
  host: string
  container: ObjectRef & { unitId: string; sizeBytes: number }
  snapshot: ObjectRef
  lun: LunAddress
  initiator: string
  osType: OsType
  fileSystem: FileSystemType
  /** Absolute path on this computer; not there yet. */
  folder: string
  files: FileChecksum[]
  /** The VM's configuration with its disks by their names in the folder. */
  configuration: string
  /** What the folder says of itself besides the job's id. */
  description: { product: string; exportedAt: string; container: string; unitId: string }
}

export interface ExportDependencies {
  readonly devices: Devices
  readonly records: InventoryRecords
  readonly openFolder: OpenExportFolder
}

const bytesPerWeight = 100 * 1024 * 1024

/**
 * Container -> folder of this computer, by a LUN of a snapshot that is there for that time only. The folder gets its
 * name last, when all is verified and nothing of it is on the devices any more.
 */
export function exportKind(dependencies: ExportDependencies): JobKind<ExportPlan> {
  return {
    name: 'export',
    afterRestart: 'resume',
    onFailure: 'undo',
    title: (plan) => `Export container ${plan.container.name} to ${plan.folder}`,
    resources: (plan) => [`folder/${plan.folder}`],
    steps: (plan, jobId) => exportSteps(dependencies, plan, jobId),
  }
}

/** The steps that take an effect away, or that vouch for it, once it has served. */
const settlements: Readonly<Record<string, string>> = {
  'make-folder': 'publish',
  snapshot: 'delete-snapshot',
  'create-lun': 'unmap-lun',
  attach: 'unmount',
  describe: 'publish',
}

function exportSteps(
  { devices, records, openFolder }: ExportDependencies,
  plan: ExportPlan,
  jobId: string,
): Step[] {
  const array = devices.array(plan.array)
  const host = devices.host(plan.host)
  const folder = openFolder(plan.folder, jobId)
  const lunContext = {
    array,
    host,
    records,
    lun: plan.lun,
    backing: plan.snapshot,
    initiator: plan.initiator,
  }
  const { sizeBytes, unitId: _unitId, ...container } = plan.container
  const steps: Step[] = [
    makeFolderStep(plan, folder),
    copyObjectStep(array, { from: container, to: plan.snapshot, mark: jobId }, 'snapshot', sizeBytes),
    mappedLunStep({ ...lunContext, osType: plan.osType }),
    attachMountedStep({ array, host, lun: plan.lun }, { fileSystem: plan.fileSystem, readOnly: true }),
    ...plan.files.map((file, index) => receiveStep(host, plan, file, index, folder)),
    describeStep(plan, folder, jobId),
    ...takeOfflineSteps(lunContext),
    deviceStep({
      id: 'delete-snapshot',
      title: `Delete snapshot ${plan.snapshot.name}`,
      target: arrayTarget(array),
      weight: 0.02,
      action: array.deleteObject(plan.snapshot, jobId),
      observe: async (signal) =>
        (await array.findObject(plan.snapshot, signal)) === undefined ? 'present' : 'absent',
    }),
    publishStep(plan, folder),
  ]
  return steps.map((step) => {
    const settledBy = settlements[step.id] ?? (step.id.startsWith('receive-') ? 'publish' : undefined)
    return settledBy === undefined ? step : { ...step, settledBy }
  })
}

const onConsole = { target: 'console', weight: 0.02 }

function makeFolderStep(plan: ExportPlan, folder: ExportFolder): Step {
  return {
    ...onConsole,
    id: 'make-folder',
    title: `Make a folder beside ${plan.folder} for what is not whole yet`,
    commands: [`mkdir ${folder.partialPath}`],
    undoCommands: [`remove ${folder.partialPath} with what is in it`],
    apply: () => folder.begin(),
    observe: async () => ((await folder.hasBegun()) ? 'present' : 'absent'),
    undo: () => folder.discard(),
  }
}

function receiveStep(
  host: HostDriver,
  plan: ExportPlan,
  file: FileChecksum,
  index: number,
  folder: ExportFolder,
): Step {
  const { lun } = plan
  const files = unitFilesOf(host)
  return {
    id: `receive-${index}`,
    title: `Receive ${file.name}, ${formatBytes(file.sizeBytes)}, and compare its checksum with the container's`,
    target: hostTarget(host),
    weight: 0.1 + file.sizeBytes / bytesPerWeight,
    commands: [...files.sendFile(lun, file.name, file.sizeBytes, async () => undefined).commands],
    undoCommands: [],
    observe: async () => ((await folder.has(file.name)) ? 'present' : 'absent'),
    async apply(context) {
      const there = await folder.checksum(file.name)
      if (there?.sha256 === file.sha256) return
      const target = await folder.create(file.name)
      try {
        const action = files.sendFile(lun, file.name, file.sizeBytes, (chunk) => target.write(chunk))
        const received = await action.run({
          signal: context.signal,
          report: (progress) => context.report(progress),
        })
        requireSame(plan, file, received)
        await target.keep()
      } catch (error) {
        await target.discard()
        throw error
      }
    },
  }
}

function requireSame(plan: ExportPlan, wanted: FileChecksum, received: FileChecksum): void {
  if (received.sha256 === wanted.sha256) return
  throw new AppError('device-rejected', `${wanted.name} is not what was staged: its checksum differs`, {
    object: `container ${plan.container.name}`,
    facts: { 'container says': wanted.sha256, 'file has': received.sha256 },
    advice:
      'The container was written to (a direct deployment), or array, network or host are faulty. Nothing was exported; the container is as it was.',
  })
}

/** The configuration, and beside it what the folder is: the mark that tells this export from other folders. */
function describeStep(plan: ExportPlan, folder: ExportFolder, jobId: string): Step {
  const { files, description, configuration } = plan
  const texts = {
    [configurationFileName]: configuration,
    [exportMarkName]: `${JSON.stringify({ ...description, job: jobId, files }, undefined, 2)}\n`,
  }
  return {
    ...onConsole,
    id: 'describe',
    title: `Write the VM configuration (${configurationFileName}) and the list of checksums (${exportMarkName})`,
    commands: [],
    undoCommands: [],
    observe: async () => 'absent',
    async apply() {
      for (const [name, text] of Object.entries(texts)) {
        const file = await folder.create(name)
        try {
          await file.write(new TextEncoder().encode(text))
          await file.keep()
        } catch (error) {
          await file.discard()
          throw error
        }
      }
    },
  }
}

function publishStep(plan: ExportPlan, folder: ExportFolder): Step {
  return {
    ...onConsole,
    id: 'publish',
    title: `Give the folder its name, ${plan.folder}`,
    commands: [`mv ${folder.partialPath} ${plan.folder}`],
    undoCommands: [`mv ${plan.folder} ${folder.partialPath}`],
    apply: () => folder.publish(),
    observe: async () => ((await folder.isPublished()) ? 'present' : 'absent'),
    undo: () => folder.withdraw(),
  }
}
