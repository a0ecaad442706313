import { AppError } from '#shared/errors/app-error.ts'
import { sectorBytes } from '#shared/units/bytes.ts'
import {
  firstProbeBytes,
  inspectUnit,
  lastProbeBytes,
  type DiskEnds,
} from '#main/protocols/unit/inspect-unit.ts'
import type { DiskWrite } from '#main/protocols/gpt/repair.ts'
import type { Unit } from '#main/protocols/unit/unit.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import type { BlockDevice } from '#main/transports/block/block-device.ts'

/** The two regions that tell what is on a disk; nothing else of it is read. Throws not-supported for other sectors. */
export async function readEnds(device: BlockDevice, signal: AbortSignal): Promise<DiskEnds> {
  if (device.blockBytes !== sectorBytes)
    throw new AppError('not-supported', `It has blocks of ${device.blockBytes} bytes; units have 512`, {
      object: device.name,
      advice: 'Have the array export the LUN with 512-byte logical blocks.',
    })
  const { sizeBytes } = device
  const firstBytes = Math.min(firstProbeBytes, sizeBytes)
  const lastBytes = Math.min(lastProbeBytes, sizeBytes)
  const [first, last] = await Promise.all([
    device.read(0, firstBytes, signal),
    device.read(sizeBytes - lastBytes, lastBytes, signal),
  ])
  return { first, last, sizeBytes }
}

/** Each write is durable before the next begins. */
export async function writeInOrder(
  device: BlockDevice,
  writes: readonly DiskWrite[],
  signal: AbortSignal,
): Promise<void> {
  for (const { offsetBytes, bytes } of writes) {
    await device.write(offsetBytes, bytes, signal)
    await device.flush(signal)
  }
}

export interface ReadUnit {
  readonly ends: DiskEnds
  readonly unit: Unit
  readonly header: UnitHeader
}

/** The unit of a device. Throws not-found (there is none), device-rejected (damaged), not-supported (newer). */
export async function requireUnit(device: BlockDevice, signal: AbortSignal): Promise<ReadUnit> {
  const ends = await readEnds(device, signal)
  const unit = inspectUnit(ends)
  if (unit.state === 'ok' && unit.header !== undefined) return { ends, unit, header: unit.header }
  throw notUsable(device, unit)
}

export function notUsable(device: BlockDevice, { state, problems }: Unit): AppError {
  const details = {
    object: device.name,
    ...(problems.length === 0 ? {} : { facts: { found: problems.join('; ') } }),
  }
  if (state === 'empty') return new AppError('not-found', 'There is no unit on it', details)
  if (state === 'newer')
    return new AppError('not-supported', 'The unit was written by a newer Gantry', {
      ...details,
      advice: 'Use that version or a later one.',
    })
  return new AppError('device-rejected', 'The unit is damaged', {
    ...details,
    advice: 'gantry unit repair --plan shows what can be repaired from the other copies.',
  })
}
