import { volumeSchema } from '#shared/domain/storage.ts'
import type { Volume } from '#shared/domain/storage.ts'
import type { Connection } from './database.ts'
import { decodeDocument, encodeDocument, required } from './documents.ts'

/** Volumes as they were when their array was last asked (`learntAt`). */
export interface VolumeRepository {
  put(volume: Volume): void
  /** Puts these in the place of everything known about the array's volumes. */
  replaceAll(array: string, volumes: readonly Volume[]): void
  find(array: string, name: string): Volume | undefined
  get(array: string, name: string): Volume
  /** Of one array or of all, by array and name. */
  list(array?: string): Volume[]
  delete(array: string, name: string): void
}

const describe = (array: string, name: string): string => `volume ${array}/${name}`

export function createVolumeRepository({ db, write }: Connection): VolumeRepository {
  const upsert = db.prepare<[string, string, string]>(
    `INSERT INTO volumes (array, name, facts) VALUES (?, ?, ?)
     ON CONFLICT (array, name) DO UPDATE SET facts = excluded.facts`,
  )
  const select = db
    .prepare<[string, string], string>('SELECT facts FROM volumes WHERE array = ? AND name = ?')
    .pluck()
  const selectAll = db.prepare<[], string>('SELECT facts FROM volumes ORDER BY array, name').pluck()
  const selectOf = db
    .prepare<[string], string>('SELECT facts FROM volumes WHERE array = ? ORDER BY name')
    .pluck()
  const remove = db.prepare<[string, string]>('DELETE FROM volumes WHERE array = ? AND name = ?')
  const removeOf = db.prepare<[string]>('DELETE FROM volumes WHERE array = ?')

  const toVolume = (facts: string): Volume => decodeDocument(volumeSchema, facts, 'volume')
  const find = (array: string, name: string): Volume | undefined => {
    const facts = select.get(array, name)
    return facts === undefined ? undefined : toVolume(facts)
  }
  const put = (volume: Volume): void => {
    const { document, text } = encodeDocument(volumeSchema, volume, describe(volume.array, volume.name))
    write(() => upsert.run(document.array, document.name, text))
  }
  return {
    put,
    replaceAll(array, volumes) {
      write(() => {
        removeOf.run(array)
        for (const volume of volumes) put({ ...volume, array })
      })
    },
    find,
    get: (array, name) => required(find(array, name), describe(array, name)),
    list: (array) => (array === undefined ? selectAll.all() : selectOf.all(array)).map(toVolume),
    delete(array, name) {
      write(() => remove.run(array, name))
    },
  }
}
