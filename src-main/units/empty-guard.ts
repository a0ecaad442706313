import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import { classifyLun, type LunClass } from '#main/protocols/lun/classify.ts'
import type { BlockDevice } from '#main/transports/block/block-device.ts'
import { readEnds } from './disk.ts'

/**
 * Nothing is written over what somebody has put on a disk (A10). Throws bad-request when it bears a unit, a partition
 * table, a known file system or any other data at its ends, or when it is smaller than what is to be written.
 */
export async function requireEmpty(
  device: BlockDevice,
  neededBytes: number,
  signal: AbortSignal,
): Promise<void> {
  if (device.sizeBytes < neededBytes)
    throw new AppError(
      'bad-request',
      `It has ${formatBytes(device.sizeBytes)}, the unit needs ${formatBytes(neededBytes)}`,
      {
        object: device.name,
        facts: { 'size in bytes': String(device.sizeBytes), 'needed bytes': String(neededBytes) },
        advice: 'Make a larger LUN.',
      },
    )
  const found = classifyLun(await readEnds(device, signal))
  if (found.kind === 'empty') return
  throw new AppError('bad-request', 'It is not empty; nothing was written', {
    object: device.name,
    facts: { found: describeClass(found) },
    advice: 'Choose an empty LUN. What is on this one is destroyed only by whoever owns it.',
  })
}

/** "VM unit of web", "boot disk: an active MBR partition; MBR with 1 partition". */
export function describeClass(found: LunClass): string {
  switch (found.kind) {
    case 'vm':
      return `VM unit of ${found.unit.header?.vm.name ?? '?'}`
    case 'container':
      return `container with ${found.unit.header?.vm.name ?? '?'}`
    case 'newer':
      return 'unit of a newer Gantry'
    case 'damaged':
      return `damaged unit: ${found.unit.problems.join('; ')}`
    case 'boot':
      return `boot disk: ${[...found.signs, ...found.content].join('; ')}`
    case 'other':
      return found.content.join('; ')
    case 'empty':
      return 'empty'
  }
}
