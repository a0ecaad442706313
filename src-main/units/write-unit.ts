import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { headerPartitionBytes, headerPartitionOffsetBytes } from '#shared/domain/unit-layout.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { MiB, roundUp, sectorBytes } from '#shared/units/bytes.ts'
import { encodeGpt } from '#main/protocols/gpt/encode.ts'
import { decodePrimaryGpt } from '#main/protocols/gpt/gpt.ts'
import type { PlannedPartition, PlannedUnit } from '#main/protocols/unit/disks-layout.ts'
import { encodeHeaderPartition } from '#main/protocols/unit/header-partition.ts'
import { findBackup, inspectUnit, type DiskEnds } from '#main/protocols/unit/inspect-unit.ts'
import type { BlockDevice, BulkOptions, FileContent } from '#main/transports/block/block-device.ts'
import { readEnds } from './disk.ts'
import { requireEmpty } from './empty-guard.ts'

export interface NewUnit {
  readonly plan: PlannedUnit
  /** The writing itself sets role, layout, disks and files. */
  readonly header: UnitHeader
  /** What each planned disk holds, by index; of the planned size. */
  readonly disks: ReadonlyMap<number, FileContent>
  /** The device reads as zeros everywhere: zeros need not be written. */
  readonly isZeroed: boolean
}

/**
 * Writes a unit of the layout `disks` to an empty device: the components, then the partition table, the header last,
 * each durable before the next. Until the header is there, the device bears no unit that could be used. Then header
 * and table are read back. Progress counts the bytes of the disks. Throws bad-request when the device is not empty or
 * too small, device-rejected when it does not hold what was written.
 */
export async function writeUnit(
  device: BlockDevice,
  unit: NewUnit,
  options: BulkOptions,
): Promise<UnitHeader> {
  const { plan, isZeroed } = unit
  const { signal } = options
  const contents = contentsOf(unit)
  await requireEmpty(device, plan.sizeBytes, signal)

  const totalBytes = contents.reduce((sum, { content }) => sum + content.sizeBytes, 0)
  for (const { partition, content } of smallContents(unit))
    await writePadded(device, partition, content, isZeroed, signal)
  const disks: UnitHeader['disks'] = []
  let written = 0
  for (const { partition, content, index } of contents) {
    const offset = partition.firstLba * sectorBytes
    const before = written
    const { sha256 } = await device.writeContent(offset, content, {
      signal,
      isZeroed,
      report: ({ bytes }) => options.report?.({ bytes: before + bytes, totalBytes }),
    })
    if (!isZeroed)
      await writeZeros(
        device,
        offset + content.sizeBytes,
        partition.sectors * sectorBytes - content.sizeBytes,
        signal,
      )
    written += content.sizeBytes
    disks.push({ index, format: 'raw', partition: partition.number, sizeBytes: content.sizeBytes, sha256 })
  }
  await device.flush(signal)

  const header: UnitHeader = { ...unit.header, role: plan.role, layout: 'disks', disks, files: [] }
  await writeTable(device, plan, header.unitId, signal)
  const partition = encodeHeaderPartition({ unitId: header.unitId, generation: 1, header })
  await device.write(headerPartitionOffsetBytes, partition, signal)
  await device.flush(signal)
  await requireWritten(device, header, signal)
  return header
}

interface DiskPart {
  readonly partition: PlannedPartition
  readonly content: FileContent
  readonly index: number
}

function contentsOf({ plan, disks }: NewUnit): DiskPart[] {
  const parts = plan.partitions.flatMap((partition) => {
    if (partition.disk === undefined) return []
    const { index, sizeBytes } = partition.disk
    const content = disks.get(index)
    if (content?.sizeBytes !== sizeBytes)
      throw new AppError(
        'bad-request',
        `Disk ${index} is planned with ${sizeBytes} bytes and has ${content?.sizeBytes ?? 'no content'}`,
      )
    return [{ partition, content, index }]
  })
  if (parts.length !== disks.size)
    throw new AppError(
      'bad-request',
      `${disks.size} disks are given, ${parts.length} are planned in this unit`,
    )
  return parts
}

/** The configuration as text; state and snapshots begin with zeros. */
function smallContents({ plan, header }: NewUnit): { partition: PlannedPartition; content: Uint8Array }[] {
  return plan.partitions.flatMap((partition) => {
    const { component } = partition
    if (component === 'header' || component === 'virtualDisk') return []
    const content =
      component === 'configuration' ? Buffer.from(header.vm.configuration.text) : Buffer.alloc(0)
    if (content.length > partition.sectors * sectorBytes)
      throw new AppError(
        'bad-request',
        `The configuration of ${content.length} bytes does not fit its partition`,
      )
    return [{ partition, content }]
  })
}

/** Content and zeros up to the first whole MiB behind it, so that nothing of an earlier use can be taken for ours. */
async function writePadded(
  device: BlockDevice,
  { firstLba, sectors }: PlannedPartition,
  content: Uint8Array,
  isZeroed: boolean,
  signal: AbortSignal,
): Promise<void> {
  if (isZeroed && content.length === 0) return
  const bytes = Buffer.alloc(Math.min(roundUp(content.length + 1, MiB), sectors * sectorBytes))
  bytes.set(content)
  await device.write(firstLba * sectorBytes, bytes, signal)
}

async function writeZeros(
  device: BlockDevice,
  offset: number,
  lengthBytes: number,
  signal: AbortSignal,
): Promise<void> {
  if (lengthBytes > 0) await device.write(offset, new Uint8Array(lengthBytes), signal)
}

/** The disk's GUID is the unit's id. The primary table goes last: without it there is none. */
async function writeTable(
  device: BlockDevice,
  { partitions }: PlannedUnit,
  unitId: string,
  signal: AbortSignal,
): Promise<void> {
  const { start, end } = encodeGpt({
    diskBytes: device.sizeBytes,
    diskGuid: unitId,
    partitions: partitions.map((partition) => ({ ...partition, guid: randomUUID() })),
  })
  await device.write(device.sizeBytes - end.length, end, signal)
  await device.flush(signal)
  await device.write(0, start, signal)
  await device.flush(signal)
}

async function requireWritten(device: BlockDevice, header: UnitHeader, signal: AbortSignal): Promise<void> {
  const found = inspectUnit(await readEnds(device, signal))
  if (found.state === 'ok' && found.problems.length === 0 && found.header?.unitId === header.unitId) return
  throw new AppError('device-rejected', 'The device does not hold what was written to it', {
    object: device.name,
    facts: { found: found.problems.join('; ') || found.state },
    effect: 'done',
    advice: 'Do not use this LUN; check the array.',
  })
}

/** What a writing has left on a device, by its mark: the unit's id, which is also the disk's GUID. */
export async function observeWrittenUnit(
  device: BlockDevice,
  unitId: string,
  signal: AbortSignal,
): Promise<'present' | 'absent'> {
  const { state, header } = inspectUnit(await readEnds(device, signal))
  return state === 'ok' && header?.unitId === unitId ? 'present' : 'absent'
}

/**
 * Takes a unit away that was written or begun under this id: both ends become zeros, so that the device is empty
 * again. A device that bears another unit, or anything else, is left alone.
 */
export async function eraseUnit(device: BlockDevice, unitId: string, signal: AbortSignal): Promise<void> {
  const ends = await readEnds(device, signal)
  if (inspectUnit(ends).header?.unitId !== unitId && !bearsDiskGuid(ends, unitId)) return
  // The header first: without it there is no unit that could be used.
  await device.write(headerPartitionOffsetBytes, new Uint8Array(headerPartitionBytes), signal)
  await device.flush(signal)
  await device.write(0, new Uint8Array(ends.first.length), signal)
  await device.write(device.sizeBytes - ends.last.length, new Uint8Array(ends.last.length), signal)
  await device.flush(signal)
}

function bearsDiskGuid({ first, last, sizeBytes }: DiskEnds, unitId: string): boolean {
  try {
    return decodePrimaryGpt(first).header.diskGuid === unitId
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return findBackup(last, sizeBytes)?.header.diskGuid === unitId
  }
}
