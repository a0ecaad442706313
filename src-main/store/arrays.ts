import { z } from 'zod'
import { instantSchema, learntHowSchema } from '#shared/domain/names.ts'
import { arrayConfigSchema, arrayIdentitySchema } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { Connection } from './database.ts'
import { decodeDocument, encodeDocument, required } from './documents.ts'

export const arrayRecordSchema = z.object({
  config: arrayConfigSchema,
  /** What the array said it is when it was last asked, at `learntAt`. */
  identity: arrayIdentitySchema.optional(),
  learntAt: instantSchema.optional(),
  learntHow: learntHowSchema,
})
export type ArrayRecord = z.infer<typeof arrayRecordSchema>

/** The configured arrays. */
export interface ArrayRepository {
  put(record: ArrayRecord): void
  find(name: string): ArrayRecord | undefined
  get(name: string): ArrayRecord
  /** By name. */
  list(): ArrayRecord[]
  /** Not there: succeeds. Throws busy while containers, LUNs or deployments of it are in the inventory. */
  delete(name: string): void
}

interface Row {
  name: string
  config: string
  identity: string | null
  learnt_at: string | null
  learnt_how: string | null
}

const describe = (name: string): string => `array ${name}`

function toRecord(row: Row): ArrayRecord {
  const object = describe(row.name)
  return {
    config: decodeDocument(arrayConfigSchema, row.config, object),
    ...(row.identity === null ? {} : { identity: decodeDocument(arrayIdentitySchema, row.identity, object) }),
    ...(row.learnt_at === null ? {} : { learntAt: row.learnt_at }),
    ...(row.learnt_how === null ? {} : { learntHow: row.learnt_how }),
  }
}

export function createArrayRepository({ db, write }: Connection): ArrayRepository {
  const upsert = db.prepare<[Row]>(
    `INSERT INTO arrays (name, config, identity, learnt_at, learnt_how) VALUES (@name, @config, @identity, @learnt_at, @learnt_how)
     ON CONFLICT (name) DO UPDATE SET config = excluded.config, identity = excluded.identity,
       learnt_at = excluded.learnt_at, learnt_how = excluded.learnt_how`,
  )
  const select = db.prepare<[string], Row>('SELECT * FROM arrays WHERE name = ?')
  const selectAll = db.prepare<[], Row>('SELECT * FROM arrays ORDER BY name')
  const remove = db.prepare<[string]>('DELETE FROM arrays WHERE name = ?')
  const dependants = (
    [
      ['containers', 'SELECT name FROM containers WHERE array = ? ORDER BY name'],
      ['LUNs', 'SELECT name FROM luns WHERE array = ? ORDER BY name'],
      ['deployments', 'SELECT name FROM deployments WHERE array = ? ORDER BY name'],
    ] as const
  ).map(([what, sql]) => [what, db.prepare<[string], string>(sql).pluck()] as const)

  const find = (name: string): ArrayRecord | undefined => {
    const row = select.get(name)
    return row === undefined ? undefined : toRecord(row)
  }
  return {
    put(record) {
      const { document } = encodeDocument(arrayRecordSchema, record, describe(record.config.name))
      write(() =>
        upsert.run({
          name: document.config.name,
          config: JSON.stringify(document.config),
          identity: document.identity === undefined ? null : JSON.stringify(document.identity),
          learnt_at: document.learntAt ?? null,
          learnt_how: document.learntHow ?? null,
        }),
      )
    },
    find,
    get: (name) => required(find(name), describe(name)),
    list: () => selectAll.all().map(toRecord),
    delete(name) {
      write(() => {
        const facts: Record<string, string> = {}
        for (const [what, statement] of dependants) {
          const names = statement.all(name)
          if (names.length > 0) facts[what] = names.join(', ')
        }
        if (Object.keys(facts).length > 0)
          throw new AppError('busy', `It still has ${Object.keys(facts).join(', ')}`, {
            object: describe(name),
            facts,
            advice: 'Decommission its deployments and delete its LUNs and containers first.',
          })
        remove.run(name)
      })
    },
  }
}
