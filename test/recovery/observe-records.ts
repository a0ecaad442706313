import { join } from 'node:path'
import Database from 'better-sqlite3'

/** Read past the program: what it has on record of devices, and of jobs that have not ended. */
export function observeRecords(dataDir: string): [string, string][] {
  const db = new Database(join(dataDir, 'gantry.db'), { readonly: true })
  try {
    return db
      .prepare<[], { what: string; text: string }>(
        `SELECT 'container ' || name AS what, 'on record' AS text FROM containers
           UNION ALL SELECT 'LUN ' || name, 'mapped to ' || (facts ->> '$.initiators') FROM luns
           UNION ALL SELECT 'deployment ' || name, 'on record' FROM deployments
           UNION ALL SELECT 'job ' || id, state FROM jobs WHERE state NOT IN ('done', 'undone', 'closed')
           UNION ALL SELECT 'resource ' || resource, 'held' FROM job_resources`,
      )
      .all()
      .map(({ what, text }) => [`console: ${what}`, text])
  } finally {
    db.close()
  }
}
