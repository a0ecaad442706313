import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { unitPartitionTypes } from '#shared/domain/unit-layout.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { sectorBytes } from '#shared/units/bytes.ts'
import type { Unit } from '#main/protocols/unit/unit.ts'
import type { BlockDevice, BulkOptions } from '#main/transports/block/block-device.ts'
import { requireUnit } from './disk.ts'

type HeaderDisk = UnitHeader['disks'][number]

export interface DiskRegion {
  readonly disk: HeaderDisk
  /** What the guest sees of the device. */
  readonly offsetBytes: number
  readonly sizeBytes: number
}

/** Where the disk lies. Throws not-found, not-supported (layout files), device-rejected (header and table disagree). */
export function findDisk(unit: Unit, index: number, object: string): DiskRegion {
  const { header } = unit
  const disk = header?.disks.find((candidate) => candidate.index === index)
  if (header === undefined || disk === undefined)
    throw new AppError('not-found', `The unit holds no disk ${index}`, {
      object,
      facts: { disks: header?.disks.map((known) => known.index).join(', ') || 'none' },
      ...secondaryAdvice(header, index),
    })
  if (header.layout === 'files')
    throw new AppError(
      'not-supported',
      'Its disks are files in a file system, which the console does not mount',
      {
        object,
        advice: 'Attach the LUN to a host and copy the file there.',
      },
    )
  const partition = unit.partitions.find(({ number }) => number === disk.partition)
  if (partition?.type !== unitPartitionTypes.virtualDisk || partition.sectors * sectorBytes < disk.sizeBytes)
    throw new AppError('device-rejected', `The partition of disk ${index} is not what the header says`, {
      object,
      facts: {
        header: `partition ${disk.partition ?? '?'} with ${disk.sizeBytes} bytes`,
        table:
          partition === undefined ? 'no such partition' : `${partition.type}, ${partition.sectors} sectors`,
      },
    })
  return { disk, offsetBytes: partition.firstLba * sectorBytes, sizeBytes: disk.sizeBytes }
}

function secondaryAdvice(header: UnitHeader | undefined, index: number): { advice?: string } {
  const elsewhere = header?.secondaryUnits.find((unit) => unit.index === index)
  return elsewhere === undefined
    ? {}
    : { advice: `It is on a LUN of its own, ${elsewhere.scsiId}; "gantry unit scan" tells where.` }
}

/** Reads the disk back and compares it with the checksum of the header. Throws device-rejected when it differs. */
export async function verifyDisk(device: BlockDevice, index: number, options: BulkOptions): Promise<string> {
  const { unit } = await requireUnit(device, options.signal)
  const { disk, offsetBytes, sizeBytes } = findDisk(unit, index, device.name)
  if (disk.sha256 === undefined)
    throw new AppError('not-supported', `The header has no checksum of disk ${index}`, {
      object: device.name,
    })
  const found = await device.hash(offsetBytes, sizeBytes, options)
  if (found === disk.sha256) return found
  throw new AppError('device-rejected', `Disk ${index} is not what was written`, {
    object: device.name,
    facts: { 'SHA-256 written': disk.sha256, 'SHA-256 now': found },
    advice:
      'A VM that has run on the unit has changed its disk, and that is as it should be; else the device has lost data.',
  })
}

/** Reads the disk into a new sparse file of this computer. `isAsWritten`: by the header's checksum, where it has one. */
export async function exportDisk(
  device: BlockDevice,
  index: number,
  path: string,
  options: BulkOptions,
): Promise<{ readonly sha256: string; readonly isAsWritten: boolean | undefined }> {
  const { unit } = await requireUnit(device, options.signal)
  const { disk, offsetBytes, sizeBytes } = findDisk(unit, index, device.name)
  const sha256 = await device.readIntoFile(offsetBytes, sizeBytes, path, options)
  return { sha256, isAsWritten: disk.sha256 === undefined ? undefined : disk.sha256 === sha256 }
}
