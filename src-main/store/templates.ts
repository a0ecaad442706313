import { z } from 'zod'
import { templateSchema, templateSourceSchema } from '#shared/domain/compute.ts'
import type { TemplateSource } from '#shared/domain/compute.ts'
import { instantSchema, learntHowSchema, nameSchema } from '#shared/domain/names.ts'
import type { Connection } from './database.ts'
import { decodeDocument, encodeDocument, required } from './documents.ts'

/** Not the configuration text: it is read anew before staging, and may hold what its owner calls secret. */
const summarySchema = templateSchema.pick({ vm: true, files: true, warnings: true })

/** A template as it was when it was last read. */
export const templateRecordSchema = z.object({
  /** The host that it was read on or for. */
  host: nameSchema,
  name: z.string(),
  source: templateSourceSchema,
  summary: summarySchema,
  learntAt: instantSchema,
  learntHow: learntHowSchema,
})
export type TemplateRecord = z.infer<typeof templateRecordSchema>

/** Templates that were read, by host and source. */
export interface TemplateRepository {
  put(template: TemplateRecord): void
  find(host: string, source: TemplateSource): TemplateRecord | undefined
  get(host: string, source: TemplateSource): TemplateRecord
  /** Of one host or of all, by host and name. */
  list(host?: string): TemplateRecord[]
  /** Forgets it. Not there: succeeds. */
  delete(host: string, source: TemplateSource): void
}

interface Row {
  host: string
  source: string
  name: string
  summary: string
  learnt_at: string
  learnt_how: string | null
}

const describe = (host: string, name: string): string => `template ${name} of host ${host}`

/** zod writes the keys in the order of the schema, so that equal sources are equal texts. */
const toKey = (source: TemplateSource): string =>
  encodeDocument(templateSourceSchema, source, 'template').text

function toRecord(row: Row): TemplateRecord {
  const object = describe(row.host, row.name)
  return {
    host: row.host,
    name: row.name,
    source: decodeDocument(templateSourceSchema, row.source, object),
    summary: decodeDocument(summarySchema, row.summary, object),
    learntAt: row.learnt_at,
    ...(row.learnt_how === null ? {} : { learntHow: row.learnt_how }),
  }
}

export function createTemplateRepository({ db, write }: Connection): TemplateRepository {
  const upsert = db.prepare<[Row]>(
    `INSERT INTO templates (host, source, name, summary, learnt_at, learnt_how)
     VALUES (@host, @source, @name, @summary, @learnt_at, @learnt_how)
     ON CONFLICT (host, source) DO UPDATE SET name = excluded.name, summary = excluded.summary,
       learnt_at = excluded.learnt_at, learnt_how = excluded.learnt_how`,
  )
  const select = db.prepare<[string, string], Row>('SELECT * FROM templates WHERE host = ? AND source = ?')
  const selectAll = db.prepare<[], Row>('SELECT * FROM templates ORDER BY host, name, source')
  const selectOf = db.prepare<[string], Row>('SELECT * FROM templates WHERE host = ? ORDER BY name, source')
  const remove = db.prepare<[string, string]>('DELETE FROM templates WHERE host = ? AND source = ?')

  const find = (host: string, source: TemplateSource): TemplateRecord | undefined => {
    const row = select.get(host, toKey(source))
    return row === undefined ? undefined : toRecord(row)
  }
  return {
    put(template) {
      const object = describe(template.host, template.name)
      const { document } = encodeDocument(templateRecordSchema, template, object)
      write(() =>
        upsert.run({
          host: document.host,
          source: toKey(document.source),
          name: document.name,
          summary: JSON.stringify(document.summary),
          learnt_at: document.learntAt,
          learnt_how: document.learntHow ?? null,
        }),
      )
    },
    find,
    get: (host, source) => required(find(host, source), describe(host, toKey(source))),
    list: (host) => (host === undefined ? selectAll.all() : selectOf.all(host)).map(toRecord),
    delete(host, source) {
      write(() => remove.run(host, toKey(source)))
    },
  }
}
