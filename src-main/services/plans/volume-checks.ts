import type { Template } from '#shared/domain/compute.ts'
import type { ArrayConfig, LunFacts, ObjectFacts, ObjectRef, Volume } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'

export function volumeOf(volumes: readonly Volume[], name: string, array: string): Volume {
  const volume = volumes.find((candidate) => candidate.name === name)
  if (volume === undefined)
    throw new AppError('not-found', `There is no volume "${name}"`, {
      object: `array ${array}`,
      facts: { volumes: volumes.map((candidate) => candidate.name).join(', ') },
    })
  return volume
}

type LunNumbers = Pick<Volume, 'array' | 'name' | 'lunCount' | 'lunLimit'>

/** Counted from the LUNs at hand: every LUN on the volume counts, whoever made it. */
export function lunNumbersOf(config: ArrayConfig, volume: string, luns: readonly LunFacts[]): LunNumbers {
  const path = config.settings.volumes[volume]
  if (path === undefined)
    throw new AppError('not-found', `There is no volume "${volume}"`, {
      object: `array ${config.name}`,
      facts: { volumes: Object.keys(config.settings.volumes).join(', ') },
    })
  return {
    array: config.name,
    name: volume,
    lunCount: luns.filter(({ backingPath }) => backingPath.startsWith(`${path}/`)).length,
    lunLimit: config.settings.lunLimitPerVolume,
  }
}

/** A17: refused before the limit is exceeded, not when the array says no. */
export function requireLunNumbers(volume: LunNumbers, wanted: number): void {
  if (volume.lunCount + wanted <= volume.lunLimit) return
  throw new AppError('device-rejected', `The volume cannot hold ${wanted} more LUN(s)`, {
    object: `volume ${volume.array}/${volume.name}`,
    facts: { LUNs: String(volume.lunCount), limit: String(volume.lunLimit) },
    advice: 'Decommission deployments or use another volume.',
  })
}

export interface ContainerName {
  readonly array: string
  readonly volume: string
  readonly container: string
}

export const containerOf = ({ volume, container }: ContainerName): ObjectRef => ({
  volume,
  kind: 'container',
  name: container,
})

export function requireFreeName(where: ContainerName, found: ObjectFacts | undefined): void {
  if (found === undefined) return
  throw new AppError('bad-request', 'A container of this name is on the volume already', {
    object: `container ${where.array}/${where.volume}/${where.container}`,
    advice: 'Choose another name, or delete that container first: gantry containers delete.',
  })
}

/** Bytes of the template's files. */
export function requireSpace(volume: Volume, template: Template): number {
  const bytes = template.files.reduce((sum, file) => sum + file.sizeBytes, 0)
  if (bytes <= volume.freeBytes) return bytes
  throw new AppError('bad-request', `The volume has no room for the VM data of ${template.name}`, {
    object: `volume ${volume.array}/${volume.name}`,
    facts: { 'VM data': formatBytes(bytes), free: formatBytes(volume.freeBytes) },
    advice: 'Choose another volume, or free space on this one.',
  })
}
