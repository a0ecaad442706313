import { AppError, toAppError } from '#shared/errors/app-error.ts'
import type { ObjectFacts, ObjectRef } from '#shared/domain/storage.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import type { ArrayDriver } from '#main/drivers/arrays/contract.ts'
import { decodeUnit, unitProbeBytes, withinSize, type Unit } from '#main/protocols/unit/unit.ts'

/** What a container says of itself, from its first mebibytes, through the array: no mount, no database (A8). */
export async function readUnit(array: ArrayDriver, facts: ObjectFacts, signal: AbortSignal): Promise<Unit> {
  return withinSize(decodeUnit(await array.readObject(facts, 0, unitProbeBytes, signal)), facts.sizeBytes)
}

/** Looks for a container and reads it, both at once. Throws not-found. */
export async function findUnit(
  array: ArrayDriver,
  ref: ObjectRef,
  signal: AbortSignal,
): Promise<{ readonly facts: ObjectFacts; readonly unit: Unit }> {
  const [facts, read] = await Promise.all([
    array.findObject(ref, signal),
    array.readObject(ref, 0, unitProbeBytes, signal).catch((error: unknown) => toAppError(error)),
  ])
  if (facts === undefined)
    throw new AppError('not-found', 'There is no such container', {
      object: `container ${array.config.name}/${ref.volume}/${ref.name}`,
      advice: '"gantry containers list --refresh" shows what is on the volumes.',
    })
  if (read instanceof AppError) throw read
  return { facts, unit: withinSize(decodeUnit(read), facts.sizeBytes) }
}

export type FilesHeader = UnitHeader & { readonly fileSystem: NonNullable<UnitHeader['fileSystem']> }
const hasFileSystem = (header: UnitHeader): header is FilesHeader => header.fileSystem !== undefined

/** The header of a container that can be deployed; one that is damaged, empty, too new or of disks is refused. */
export function headerForDeployment(unit: Unit, ref: ObjectRef): FilesHeader {
  if (unit.state === 'ok' && unit.header !== undefined) {
    if (hasFileSystem(unit.header)) return unit.header
    throw new AppError(
      'not-supported',
      'The container holds disks and no file system that a host could mount',
      {
        object: `container ${ref.name}`,
        advice: 'Stage the template into a container of files to deploy it.',
      },
    )
  }
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
