import type { Volume } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'

export function volumeOf(volumes: readonly Volume[], name: string, array: string): Volume {
  const volume = volumes.find((candidate) => candidate.name === name)
  if (volume === undefined)
    throw new AppError('not-found', `There is no volume "${name}"`, {
      object: `array ${array}`,
      facts: { volumes: volumes.map((candidate) => candidate.name).join(', ') },
    })
  return volume
}

/** A17: refused before the limit is exceeded, not when the array says no. */
export function requireLunNumbers(volume: Volume, wanted: number): void {
  if (volume.lunCount + wanted <= volume.lunLimit) return
  throw new AppError('device-rejected', `The volume cannot hold ${wanted} more LUN(s)`, {
    object: `volume ${volume.array}/${volume.name}`,
    facts: { LUNs: String(volume.lunCount), limit: String(volume.lunLimit) },
    advice: 'Decommission deployments or use another volume.',
  })
}
