import { z } from 'zod'
import { hostFactsSchema } from '#shared/contract/inventory.ts'
import { hostConfigSchema } from '#shared/domain/compute.ts'
import { instantSchema, learntHowSchema } from '#shared/domain/names.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { Connection } from './database.ts'
import { decodeDocument, encodeDocument, required } from './documents.ts'

export const hostRecordSchema = z.object({
  config: hostConfigSchema,
  /** What the host said when it was last asked, at `learntAt`. */
  facts: hostFactsSchema.optional(),
  learntAt: instantSchema.optional(),
  learntHow: learntHowSchema,
})
export type HostRecord = z.infer<typeof hostRecordSchema>

/** The configured hosts. */
export interface HostRepository {
  put(record: HostRecord): void
  find(name: string): HostRecord | undefined
  get(name: string): HostRecord
  /** By name. */
  list(): HostRecord[]
  /** Not there: succeeds. Throws busy while deployments on it are in the inventory. */
  delete(name: string): void
}

interface Row {
  name: string
  config: string
  facts: string | null
  learnt_at: string | null
  learnt_how: string | null
}

const describe = (name: string): string => `host ${name}`

function toRecord(row: Row): HostRecord {
  const object = describe(row.name)
  return {
    config: decodeDocument(hostConfigSchema, row.config, object),
    ...(row.facts === null ? {} : { facts: decodeDocument(hostFactsSchema, row.facts, object) }),
    ...(row.learnt_at === null ? {} : { learntAt: row.learnt_at }),
    ...(row.learnt_how === null ? {} : { learntHow: row.learnt_how }),
  }
}

export function createHostRepository({ db, write }: Connection): HostRepository {
  const upsert = db.prepare<[Row]>(
    `INSERT INTO hosts (name, config, facts, learnt_at, learnt_how) VALUES (@name, @config, @facts, @learnt_at, @learnt_how)
     ON CONFLICT (name) DO UPDATE SET config = excluded.config, facts = excluded.facts,
       learnt_at = excluded.learnt_at, learnt_how = excluded.learnt_how`,
  )
  const select = db.prepare<[string], Row>('SELECT * FROM hosts WHERE name = ?')
  const selectAll = db.prepare<[], Row>('SELECT * FROM hosts ORDER BY name')
  const remove = db.prepare<[string]>('DELETE FROM hosts WHERE name = ?')
  const deployed = db
    .prepare<[string], string>('SELECT name FROM deployments WHERE host = ? ORDER BY name')
    .pluck()

  const find = (name: string): HostRecord | undefined => {
    const row = select.get(name)
    return row === undefined ? undefined : toRecord(row)
  }
  return {
    put(record) {
      const { document } = encodeDocument(hostRecordSchema, record, describe(record.config.name))
      write(() =>
        upsert.run({
          name: document.config.name,
          config: JSON.stringify(document.config),
          facts: document.facts === undefined ? null : JSON.stringify(document.facts),
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
        const names = deployed.all(name)
        if (names.length > 0)
          throw new AppError('busy', 'It still has deployments', {
            object: describe(name),
            facts: { deployments: names.join(', ') },
            advice: 'Decommission its deployments first.',
          })
        remove.run(name)
      })
    },
  }
}
