import { containerSchema } from '#shared/domain/storage.ts'
import type { Container } from '#shared/domain/storage.ts'
import type { Connection } from './database.ts'
import { decodeDocument, encodeDocument, required } from './documents.ts'

export interface ContainerKey {
  readonly array: string
  readonly volume: string
  readonly name: string
}

/** Staged containers as they were when their volume was last read (`learntAt`). */
export interface ContainerRepository {
  put(container: Container): void
  /** Puts these in the place of everything known about the containers of one volume. */
  replaceAll(array: string, volume: string, containers: readonly Container[]): void
  find(key: ContainerKey): Container | undefined
  get(key: ContainerKey): Container
  /** Containers with this unit id: more than one when a container was copied outside Gantry. */
  listByUnit(unitId: string): Container[]
  /** By array, volume and name. */
  list(filter?: { readonly array?: string | undefined; readonly volume?: string | undefined }): Container[]
  /** Forgets it; the container on the array is not touched. Not there: succeeds. */
  delete(key: ContainerKey): void
}

const describe = ({ array, volume, name }: ContainerKey): string => `container ${array}/${volume}/${name}`

export function createContainerRepository({ db, write }: Connection): ContainerRepository {
  const upsert = db.prepare<[string, string, string, string | null, string]>(
    `INSERT INTO containers (array, volume, name, unit_id, facts) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (array, volume, name) DO UPDATE SET unit_id = excluded.unit_id, facts = excluded.facts`,
  )
  const select = db
    .prepare<[string, string, string], string>(
      'SELECT facts FROM containers WHERE array = ? AND volume = ? AND name = ?',
    )
    .pluck()
  const selectByUnit = db
    .prepare<[string], string>('SELECT facts FROM containers WHERE unit_id = ? ORDER BY array, volume, name')
    .pluck()
  const selectAll = db
    .prepare<[{ array: string | null; volume: string | null }], string>(
      `SELECT facts FROM containers WHERE (@array IS NULL OR array = @array)
       AND (@volume IS NULL OR volume = @volume) ORDER BY array, volume, name`,
    )
    .pluck()
  const remove = db.prepare<[string, string, string]>(
    'DELETE FROM containers WHERE array = ? AND volume = ? AND name = ?',
  )
  const removeOf = db.prepare<[string, string]>('DELETE FROM containers WHERE array = ? AND volume = ?')

  const toContainer = (facts: string): Container => decodeDocument(containerSchema, facts, 'container')
  const find = (key: ContainerKey): Container | undefined => {
    const facts = select.get(key.array, key.volume, key.name)
    return facts === undefined ? undefined : toContainer(facts)
  }
  const put = (container: Container): void => {
    const { document, text } = encodeDocument(containerSchema, container, describe(container))
    write(() =>
      upsert.run(document.array, document.volume, document.name, document.staged?.unitId ?? null, text),
    )
  }
  return {
    put,
    replaceAll(array, volume, containers) {
      write(() => {
        removeOf.run(array, volume)
        for (const container of containers) put({ ...container, array, volume })
      })
    },
    find,
    get: (key) => required(find(key), describe(key)),
    listByUnit: (unitId) => selectByUnit.all(unitId).map(toContainer),
    list: (filter = {}) =>
      selectAll.all({ array: filter.array ?? null, volume: filter.volume ?? null }).map(toContainer),
    delete(key) {
      write(() => remove.run(key.array, key.volume, key.name))
    },
  }
}
