import { access, link, rename, rm } from 'node:fs/promises'
import type { ImageFormat } from '#shared/domain/compute.ts'
import type { UnitDevice } from '#shared/domain/unit-device.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import type { PlannedUnit } from '#main/protocols/unit/disks-layout.ts'
import type { BlockDevice, BulkOptions, FileContent } from '#main/transports/block/block-device.ts'
import { nameOfDevice, withDevice, type UnitDevices } from '#main/units/devices.ts'
import { applyUnitRepair } from '#main/units/repair-unit.ts'
import { exportDisk, verifyDisk } from '#main/units/unit-disks.ts'
import { eraseUnit, observeWrittenUnit, writeUnit } from '#main/units/write-unit.ts'
import type { JobKind, Step, StepContext } from '../step.ts'

interface PlannedDisk {
  readonly index: number
  readonly sizeBytes: number
}

/** Work of the console alone on one unit. */
export type UnitWorkPlan = { readonly device: UnitDevice } & (
  | { readonly work: 'verify'; readonly disks: readonly PlannedDisk[] }
  | { readonly work: 'export'; readonly disk: PlannedDisk; readonly path: string }
  | { readonly work: 'repair'; readonly digest: string; readonly writes: readonly string[] }
  | {
      readonly work: 'write'
      readonly images: readonly (PlannedDisk & { readonly path: string; readonly format: ImageFormat })[]
      readonly unit: PlannedUnit
      readonly header: UnitHeader
      readonly isZeroed: boolean
    }
)
type PlanOf<Work extends UnitWorkPlan['work']> = Extract<UnitWorkPlan, { work: Work }>

export interface UnitWorkParts {
  readonly unitDevices: UnitDevices
  /** An image of this computer as a guest sees it; `close` removes what was made for it. */
  openImage(
    path: string,
    options: BulkOptions & { readonly claimedFormat: ImageFormat },
  ): Promise<{ readonly content: FileContent; close(): Promise<void> }>
}

export const unitWorkKind = (parts: UnitWorkParts): JobKind<UnitWorkPlan> => ({
  name: 'unit-work',
  // Nothing that was half done is taken for whole: each begins anew in a moment.
  afterRestart: 'undo',
  onFailure: 'undo',
  title: titleOf,
  resources: ({ device }) => [`unit/${nameOfDevice(device)}`],
  steps: (plan, jobId) => stepsOf(parts, plan, jobId),
})

function titleOf(plan: UnitWorkPlan): string {
  const where = nameOfDevice(plan.device)
  switch (plan.work) {
    case 'verify':
      return `Verify the unit on ${where}`
    case 'export':
      return `Export disk ${plan.disk.index} of ${where}`
    case 'repair':
      return `Repair the unit on ${where}`
    case 'write':
      return `Write VM ${plan.header.vm.name} to ${where}`
  }
}

function stepsOf(parts: UnitWorkParts, plan: UnitWorkPlan, jobId: string): Step[] {
  switch (plan.work) {
    case 'verify':
      return plan.disks.map((disk) => verifyStep(parts, plan.device, disk))
    case 'export':
      return [exportStep(parts, plan, jobId)]
    case 'repair':
      return [repairStep(parts, plan)]
    case 'write':
      return [writeStep(parts, plan), ...plan.images.map((disk) => verifyStep(parts, plan.device, disk))]
  }
}

const bytesPerWeight = 200 * 1024 * 1024
const weightOf = ({ sizeBytes }: PlannedDisk): number => 0.2 + sizeBytes / bytesPerWeight

const bulk = (context: StepContext): BulkOptions => ({
  signal: context.signal,
  report: (progress) => context.report(progress),
})

const onDevice = <T>(
  { unitDevices }: UnitWorkParts,
  where: UnitDevice,
  mode: 'read' | 'write',
  signal: AbortSignal,
  use: (device: BlockDevice) => Promise<T>,
): Promise<T> => withDevice(unitDevices, where, mode, signal, ({ device }) => use(device))

function verifyStep(parts: UnitWorkParts, where: UnitDevice, disk: PlannedDisk): Step {
  return {
    id: `verify-${disk.index}`,
    title: `Read disk ${disk.index} back and compare its checksum`,
    target: nameOfDevice(where),
    weight: weightOf(disk),
    commands: [`read ${disk.sizeBytes} bytes of disk ${disk.index}; compare their SHA-256 with the header`],
    undoCommands: [],
    observe: () => Promise.resolve('absent'),
    apply: (context) =>
      onDevice(parts, where, 'read', context.signal, async (device) => {
        const sha256 = await verifyDisk(device, disk.index, bulk(context))
        context.log(`Disk ${disk.index} is what was written: SHA-256 ${sha256}`)
      }),
  }
}

/** A file of another name until it is whole; never over one that is there. */
function exportStep(parts: UnitWorkParts, plan: PlanOf<'export'>, jobId: string): Step {
  const { disk, path, device: where } = plan
  const part = `${path}.${jobId}.part`
  return {
    id: 'export',
    title: `Read disk ${disk.index}, ${formatBytes(disk.sizeBytes)}, into ${path}`,
    target: nameOfDevice(where),
    weight: weightOf(disk),
    commands: [`read ${disk.sizeBytes} bytes of disk ${disk.index} into ${path}`],
    undoCommands: [`remove ${part}`],
    observe: () => Promise.resolve('partial'),
    apply: (context) =>
      onDevice(parts, where, 'read', context.signal, async (device) => {
        const { sha256, isAsWritten } = await exportDisk(device, disk.index, part, bulk(context))
        await publish(part, path)
        context.log(`SHA-256 ${sha256}${asWritten(isAsWritten)}`)
      }),
    undo: () => rm(part, { force: true }),
  }
}

function asWritten(isAsWritten: boolean | undefined): string {
  if (isAsWritten === undefined) return '; the header has no checksum to compare it with'
  return isAsWritten ? ', as it was written' : '; the disk has changed since it was written'
}

/** `link` does not replace what is there; file systems without it are asked first. */
async function publish(part: string, path: string): Promise<void> {
  try {
    await link(part, path)
    await rm(part)
  } catch (error) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    )
    if (isThere)
      throw new AppError('busy', `"${path}" is there already`, {
        object: path,
        advice: 'Choose another name: nothing is written over.',
        cause: error,
      })
    await rename(part, path)
  }
}

function repairStep(parts: UnitWorkParts, { device: where, digest, writes }: PlanOf<'repair'>): Step {
  return {
    id: 'repair',
    title: 'Make the damaged copies again from those that verify',
    target: nameOfDevice(where),
    weight: 1,
    commands: [...writes],
    undoCommands: [],
    observe: () => Promise.resolve('absent'),
    apply: ({ signal }) =>
      onDevice(parts, where, 'write', signal, (device) => applyUnitRepair(device, digest, signal)),
  }
}

function writeStep(parts: UnitWorkParts, plan: PlanOf<'write'>): Step {
  const { device: where, images, unit, header, isZeroed } = plan
  const { unitId } = header
  return {
    id: 'write',
    title: `Write the disks and the description of VM ${header.vm.name}`,
    target: nameOfDevice(where),
    weight: images.reduce((sum, image) => sum + 2 * weightOf(image), 0),
    commands: [
      'refuse unless both ends of the device are zeros',
      ...images.map(({ path, index, sizeBytes }) => `write ${sizeBytes} bytes of ${path} as disk ${index}`),
      `write the partition table with ${unit.partitions.length} partitions, then the header of unit ${unitId}`,
    ],
    undoCommands: [`write zeros to both ends of the device if they bear unit ${unitId}`],
    observe: ({ signal }) =>
      onDevice(parts, where, 'read', signal, async (device) =>
        (await observeWrittenUnit(device, unitId, signal)) === 'present' ? 'present' : 'partial',
      ),
    apply: (context) => writeImages(parts, plan, context, isZeroed),
    undo: ({ signal }) =>
      onDevice(parts, where, 'write', signal, (device) => eraseUnit(device, unitId, signal)),
  }
}

async function writeImages(
  parts: UnitWorkParts,
  { device: where, images, unit, header }: PlanOf<'write'>,
  context: StepContext,
  isZeroed: boolean,
): Promise<void> {
  const { signal } = context
  const opened: { readonly content: FileContent; close(): Promise<void> }[] = []
  try {
    await onDevice(parts, where, 'write', signal, async (device) => {
      // A resumed job finds what it has written.
      if ((await observeWrittenUnit(device, header.unitId, signal)) === 'present') return
      const disks = new Map<number, FileContent>()
      for (const { index, path, format } of images) {
        const image = await parts.openImage(path, { signal, claimedFormat: format })
        opened.push(image)
        disks.set(index, image.content)
      }
      await writeUnit(device, { plan: unit, header, disks, isZeroed }, bulk(context))
    })
  } finally {
    await Promise.all(opened.map((image) => image.close()))
  }
}
