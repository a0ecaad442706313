import { AppError } from '#shared/errors/app-error.ts'
import type { ArrayConfig, ObjectRef } from '#shared/domain/storage.ts'

/** Where things lie on a volume: `<volume>/containers/web.ctr`, beside it its mark `web.ctr.gantry`. */
const places = {
  container: { folder: 'containers', extension: '.ctr' },
  snapshot: { folder: 'snapshots', extension: '.snap' },
  clone: { folder: 'clones', extension: '.img' },
} as const

export const folders = Object.values(places).map((place) => place.folder)
export const extensions = Object.values(places).map((place) => place.extension)
export const markExtension = '.gantry'

/** The folder of an object, relative to its volume. */
export const folderOf = (ref: ObjectRef): string => places[ref.kind].folder

/** The path of an object, relative to its volume. */
export const objectPath = (ref: ObjectRef): string =>
  `${places[ref.kind].folder}/${ref.name}${places[ref.kind].extension}`

/** A path relative to a volume, as an object. undefined: it does not lie where our objects lie. */
export function parseObjectPath(volume: string, path: string): ObjectRef | undefined {
  for (const kind of ['container', 'snapshot', 'clone'] as const) {
    const { folder, extension } = places[kind]
    if (!path.startsWith(`${folder}/`) || !path.endsWith(extension)) continue
    const name = path.slice(folder.length + 1, -extension.length)
    if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) return { volume, kind, name }
  }
  return undefined
}

/** An absolute path on the array, as an object of one of the configured volumes. */
export function refOfPath(config: ArrayConfig, path: string): ObjectRef | undefined {
  for (const volume of Object.keys(config.settings.volumes)) {
    const prefix = `${volumePath(config, volume)}/`
    const ref = path.startsWith(prefix) ? parseObjectPath(volume, path.slice(prefix.length)) : undefined
    if (ref !== undefined) return ref
  }
  return undefined
}

/** The directory of a volume, without a slash at its end. Throws not-found. */
export function volumePath(config: ArrayConfig, volume: string): string {
  const path = config.settings.volumes[volume]
  if (path === undefined)
    throw new AppError('not-found', `The array has no volume "${volume}"`, {
      object: `array ${config.name}`,
      advice: `Its volumes are: ${Object.keys(config.settings.volumes).join(', ') || 'none'}.`,
    })
  return path.replace(/\/+$/, '') || '/'
}

/** For messages: "container web of lab-array:vol1". */
export const describeObject = (config: ArrayConfig, ref: ObjectRef): string =>
  `${ref.kind} ${ref.name} of ${config.name}:${ref.volume}`
