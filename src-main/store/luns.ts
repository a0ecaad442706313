import { z } from 'zod'
import { nameSchema } from '#shared/domain/names.ts'
import { lunIdentitySchema, objectRefSchema, osTypeSchema } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { Connection } from './database.ts'
import { decodeDocument, encodeDocument, required } from './documents.ts'

/** A LUN that Gantry made: all that is needed to make it again with the same identity and the same maps. */
export const lunRecordSchema = z.object({
  array: nameSchema,
  identity: lunIdentitySchema,
  backing: objectRefSchema,
  osType: osTypeSchema,
  /** Initiator names that it is mapped to. */
  initiators: z.array(z.string()),
})
export type LunRecord = z.infer<typeof lunRecordSchema>

/** LUNs that Gantry made and has not destroyed. */
export interface LunRepository {
  /**
   * Throws busy when another LUN has this name, serial, NAA or target and number: overwriting would lose the only
   * record of that LUN.
   */
  put(lun: LunRecord): void
  /** Adds an initiator to a LUN on record; again: succeeds. */
  addInitiator(array: string, name: string, initiator: string): void
  /** Not there (also the LUN itself): succeeds. */
  removeInitiator(array: string, name: string, initiator: string): void
  find(array: string, name: string): LunRecord | undefined
  get(array: string, name: string): LunRecord
  /** Of one array or of all, by array and name. */
  list(array?: string): LunRecord[]
  /** Not there: succeeds. */
  delete(array: string, name: string): void
}

const describe = (array: string, name: string): string => `LUN ${array}/${name}`

export function createLunRepository({ db, write }: Connection): LunRepository {
  const upsert = db.prepare<[string, string, string, number, string, string, string]>(
    `INSERT INTO luns (array, name, target, lun, serial, naa, facts) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (array, name) DO UPDATE SET facts = excluded.facts`,
  )
  const select = db
    .prepare<[string, string], string>('SELECT facts FROM luns WHERE array = ? AND name = ?')
    .pluck()
  const selectAll = db.prepare<[], string>('SELECT facts FROM luns ORDER BY array, name').pluck()
  const selectOf = db
    .prepare<[string], string>('SELECT facts FROM luns WHERE array = ? ORDER BY name')
    .pluck()
  const remove = db.prepare<[string, string]>('DELETE FROM luns WHERE array = ? AND name = ?')

  const toLun = (facts: string): LunRecord => decodeDocument(lunRecordSchema, facts, 'LUN')
  const find = (array: string, name: string): LunRecord | undefined => {
    const facts = select.get(array, name)
    return facts === undefined ? undefined : toLun(facts)
  }
  const put = (lun: LunRecord): void => {
    const object = describe(lun.array, lun.identity.name)
    const { document, text } = encodeDocument(lunRecordSchema, lun, object)
    const { name, target, lun: number, serial, naa } = document.identity
    write(() => {
      const known = find(document.array, name)?.identity
      if (
        known !== undefined &&
        (known.serial !== serial || known.naa !== naa || known.target !== target || known.lun !== number)
      )
        throw new AppError('busy', 'Another LUN of this name is on record', {
          object,
          facts: { 'serial on record': known.serial, 'serial of the new one': serial },
          advice: 'Destroy the LUN on record first, or choose another name.',
        })
      upsert.run(document.array, name, target, number, serial, naa, text)
    })
  }
  return {
    put,
    addInitiator(array, name, initiator) {
      write(() => {
        const lun = required(find(array, name), describe(array, name))
        put({ ...lun, initiators: [...new Set([...lun.initiators, initiator])] })
      })
    },
    removeInitiator(array, name, initiator) {
      write(() => {
        const lun = find(array, name)
        if (lun !== undefined)
          put({ ...lun, initiators: lun.initiators.filter((mapped) => mapped !== initiator) })
      })
    },
    find,
    get: (array, name) => required(find(array, name), describe(array, name)),
    list: (array) => (array === undefined ? selectAll.all() : selectOf.all(array)).map(toLun),
    delete(array, name) {
      write(() => remove.run(array, name))
    },
  }
}
