import type { ImageFormat } from '#shared/domain/compute.ts'
import type { ArrayConfig, LunAddress } from '#shared/domain/storage.ts'
import { loginWayOf } from '#shared/domain/unit-device.ts'
import type { UnitDevice } from '#shared/domain/unit-device.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { PlannedUnit } from '#main/protocols/unit/disks-layout.ts'
import type { BlockDevice, BulkOptions, FileContent } from '#main/transports/block/block-device.ts'
import { nameOfDevice, withDevice, type UnitDevices } from '#main/units/devices.ts'
import { verifyDisk } from '#main/units/unit-disks.ts'
import { observeWrittenUnit, writeUnit } from '#main/units/write-unit.ts'
import type { Step, StepContext } from '../step.ts'

export interface PlannedDisk {
  readonly index: number
  readonly sizeBytes: number
}

/** Images of this computer on the way to a unit of the layout `disks`. */
export interface PlannedWrite {
  readonly device: UnitDevice
  readonly images: readonly (PlannedDisk & { readonly path: string; readonly format: ImageFormat })[]
  readonly unit: PlannedUnit
  readonly header: UnitHeader
  /** The device reads as zeros everywhere. */
  readonly isZeroed: boolean
  /** Of a secondary unit: the name of its LUN, by which the base unit finds it. */
  readonly scsiId?: string
}

export interface UnitWorkParts {
  readonly unitDevices: UnitDevices
  /** An image of this computer as a guest sees it; `close` removes what was made for it. */
  openImage(
    path: string,
    options: BulkOptions & { readonly claimedFormat: ImageFormat },
  ): Promise<{ readonly content: FileContent; close(): Promise<void> }>
}

/** A LUN of a VM, looked at with the name that it is mapped to: the console's own for a host that is this computer. */
export const deviceOf = (
  {
    lun: { portal, target, lun },
    initiator: initiatorName,
  }: { readonly lun: LunAddress; readonly initiator: string },
  array: ArrayConfig,
): UnitDevice => ({ kind: 'iscsi', portal, target, lun, initiatorName, ...loginWayOf(array) })

const bytesPerWeight = 200 * 1024 * 1024
export const weightOf = ({ sizeBytes }: PlannedDisk): number => 0.2 + sizeBytes / bytesPerWeight

export const bulk = (context: StepContext): BulkOptions => ({
  signal: context.signal,
  report: (progress) => context.report(progress),
})

export const onDevice = <T>(
  { unitDevices }: Pick<UnitWorkParts, 'unitDevices'>,
  where: UnitDevice,
  mode: 'read' | 'write',
  signal: AbortSignal,
  use: (device: BlockDevice) => Promise<T>,
): Promise<T> => withDevice(unitDevices, where, mode, signal, ({ device }) => use(device))

/** Reads a disk back and compares it with the header. */
export function verifyStep(parts: UnitWorkParts, where: UnitDevice, disk: PlannedDisk): Step {
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

/** Puts the disks, the table and the header on an empty device; without an undo. */
export function writeStep(parts: UnitWorkParts, plan: PlannedWrite): Step {
  const { device: where, images, unit, header, isZeroed } = plan
  const { unitId } = header
  const isSecondary = unit.role === 'secondary'
  const indices = images.map(({ index }) => index).join('-')
  return {
    id: isSecondary ? `write-${indices}` : 'write',
    title: isSecondary
      ? `Write disk ${indices} of VM ${header.vm.name} to a LUN of its own`
      : `Write the disks and the description of VM ${header.vm.name}`,
    target: nameOfDevice(where),
    weight: images.reduce((sum, image) => sum + 2 * weightOf(image), 0),
    commands: [
      'refuse unless both ends of the device are zeros',
      ...images.map(({ path, index, sizeBytes }) => `write ${sizeBytes} bytes of ${path} as disk ${index}`),
      `write the partition table with ${unit.partitions.length} partitions, then the header of unit ${unitId}`,
    ],
    undoCommands: [],
    observe: ({ signal }) =>
      onDevice(parts, where, 'read', signal, async (device) =>
        (await observeWrittenUnit(device, unitId, signal)) === 'present' ? 'present' : 'partial',
      ),
    apply: (context) => writeImages(parts, plan, context, isZeroed),
  }
}

async function writeImages(
  parts: UnitWorkParts,
  { device: where, images, unit, header, scsiId }: PlannedWrite,
  context: StepContext,
  isZeroed: boolean,
): Promise<void> {
  const { signal } = context
  const opened: { readonly content: FileContent; close(): Promise<void> }[] = []
  try {
    await withDevice(parts.unitDevices, where, 'write', signal, async ({ device, lun }) => {
      if (scsiId !== undefined && lun?.scsiIds.includes(scsiId) !== true) throw anotherLun(device, scsiId)
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

const anotherLun = (device: BlockDevice, scsiId: string): AppError =>
  new AppError('stale', 'Another LUN is at this address than when it was planned; nothing was written', {
    object: device.name,
    facts: { planned: scsiId },
  })
