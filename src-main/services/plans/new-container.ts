import type { LunAddress, ObjectRef, Volume } from '#shared/domain/storage.ts'
import type { ArrayDriver } from '#main/drivers/arrays/contract.ts'
import type { ServiceContext } from '../context.ts'
import { restoreLostLuns } from './lost-luns.ts'
import type { PlannedWork } from './planned.ts'
import {
  containerOf,
  requireFreeName,
  requireLunNumbers,
  volumeOf,
  type ContainerName,
} from './volume-checks.ts'

/** Where a container is going to be. */
export interface NewContainer {
  readonly array: ArrayDriver
  readonly container: ObjectRef
  readonly volume: Volume
  /** Of the LUN that it is filled through. `portal`: as who fills it reaches the array; default: the array's own. */
  readonly lunAt: (portal: string | undefined) => LunAddress
  /** To be done before. */
  readonly restores: readonly PlannedWork[]
}

/** Throws not-found (no such volume), bad-request (the name is taken), device-rejected (no room for a LUN). */
export async function findPlace(
  context: ServiceContext,
  where: ContainerName,
  signal: AbortSignal,
): Promise<NewContainer> {
  const array = context.devices.array(where.array)
  const container = containerOf(where)
  const [volumes, taken, luns] = await Promise.all([
    array.listVolumes(signal),
    array.findObject(container, signal),
    array.listLuns(signal),
  ])
  context.store.volumes.replaceAll(where.array, volumes)
  const volume = volumeOf(volumes, where.volume, where.array)
  requireFreeName(where, taken)
  requireLunNumbers(volume, 1)
  const identity = array.newIdentity(`stage-${where.container}`.slice(0, 63))
  return {
    array,
    container,
    volume,
    lunAt: (portal) => array.addressOf(identity, portal),
    restores: restoreLostLuns(context, where.array, luns),
  }
}
