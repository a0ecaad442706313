import { AppError } from '#shared/errors/app-error.ts'
import { headerCopyOffsets, headerPartitionOffsetBytes } from '#shared/domain/unit-layout.ts'
import { KiB } from '#shared/units/bytes.ts'
import type { ObjectRef } from '#shared/domain/storage.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import type { ArrayDriver } from '#main/drivers/arrays/contract.ts'
import { decodeUnit, unitProbeBytes, withinSize, type Unit } from '#main/protocols/unit/unit.ts'

/** Where the partition table and the two copies of the header begin, and what they usually need. */
const usualRanges = [0, ...headerCopyOffsets.map((offset) => headerPartitionOffsetBytes + offset)].map(
  (offset) => ({ offset, lengthBytes: 64 * KiB }),
)

/**
 * What a container says of itself, from its first mebibytes, through the array: no mount, no database (A8). A sound
 * unit is known from a few KiB; only of one that is not is all read that its beginning may hold. Throws not-found.
 */
export async function readUnit(
  array: ArrayDriver,
  ref: ObjectRef,
  signal: AbortSignal,
): Promise<{ readonly sizeBytes: number; readonly unit: Unit }> {
  try {
    const { sizeBytes, parts } = await array.readObject(ref, usualRanges, signal)
    const start = new Uint8Array(unitProbeBytes)
    for (const [index, part] of parts.entries()) start.set(part, usualRanges[index]?.offset)
    const unit = withinSize(decodeUnit(start), sizeBytes)
    if (unit.state === 'ok' && unit.problems.length === 0) return { sizeBytes, unit }
    const whole = await array.readObject(ref, [{ offset: 0, lengthBytes: unitProbeBytes }], signal)
    const bytes = whole.parts[0] ?? new Uint8Array()
    return { sizeBytes: whole.sizeBytes, unit: withinSize(decodeUnit(bytes), whole.sizeBytes) }
  } catch (error) {
    if (error instanceof AppError && error.code === 'not-found') throw noContainer(array, ref, error)
    throw error
  }
}

const noContainer = (array: ArrayDriver, ref: ObjectRef, cause: AppError): AppError =>
  new AppError('not-found', 'There is no such container', {
    object: `container ${array.config.name}/${ref.volume}/${ref.name}`,
    advice: '"gantry containers list --refresh" shows what is on the volumes.',
    cause,
  })

/** The header of a container that can be deployed; one that is damaged, empty or too new is refused. */
export function headerForDeployment(unit: Unit, ref: ObjectRef): UnitHeader {
  if (unit.state === 'ok' && unit.header !== undefined) return unit.header
  const details = { object: `container ${ref.name}`, facts: { found: unit.problems.join('; ') } }
  if (unit.state === 'newer')
    throw new AppError('not-supported', 'The container was written by a newer Gantry', {
      ...details,
      advice: 'Update this console, then deploy again.',
    })
  if (unit.state === 'empty')
    throw new AppError('bad-request', 'Nothing is staged in this container', {
      ...details,
      advice: 'Stage a template into a new container and deploy that one.',
    })
  throw new AppError('device-rejected', 'The header of the container is damaged', {
    ...details,
    advice: 'Restore the container from a copy, or stage the template again. Nothing was changed.',
  })
}
