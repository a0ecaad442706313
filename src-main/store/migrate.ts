import { closeSync, fsyncSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import type Database from 'better-sqlite3'
import { AppError } from '#shared/errors/app-error.ts'

/** One change of the schema. `version` is the `user_version` that the database has after it. */
export interface Migration {
  readonly version: number
  /** SQL script. */
  readonly up: string
}

/**
 * Brings a database to the version of the last migration, in one transaction. An existing one is copied beside itself
 * first. Throws not-supported for a database from a newer Gantry and bad-request for one that is not Gantry's.
 */
export function migrate(db: Database.Database, path: string, migrations: readonly Migration[]): void {
  const latest = migrations.at(-1)?.version ?? 0
  const found = readVersion(db)
  refuseForeign(db, path, found, latest)
  if (found === latest) return
  if (found > 0) backUp(db, path, found)
  db.transaction(() => {
    // Another console may have migrated it while this one waited for the lock.
    const current = readVersion(db)
    for (const migration of migrations)
      if (migration.version > current) {
        db.exec(migration.up)
        db.pragma(`user_version = ${migration.version}`)
      }
  }).exclusive()
}

function readVersion(db: Database.Database): number {
  return Number(db.pragma('user_version', { simple: true }))
}

function refuseForeign(db: Database.Database, path: string, found: number, latest: number): void {
  if (found > latest)
    throw new AppError('not-supported', 'The database was written by a newer version of Gantry', {
      object: `database ${path}`,
      facts: { 'version of the database': String(found), 'newest version known here': String(latest) },
      advice:
        'Use the newer Gantry, or put the backup from before its first start in the place of the database.',
    })
  const tables = db.prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'table'").pluck().get()
  if (found === 0 && tables !== 0)
    throw new AppError('bad-request', 'The file is a database, but not one of Gantry', {
      object: `database ${path}`,
    })
}

/** Copies the database to "<path>.v<version>.<time>.backup", on the disk when this returns. */
function backUp(db: Database.Database, path: string, version: number): void {
  const time = new Date().toISOString().replaceAll(/[-:.]/g, '')
  const backup = `${path}.v${version}.${time}-${process.pid}.backup`
  // VACUUM INTO fills an empty file but would make one that others may read; nor does it sync what it wrote.
  closeSync(openSync(backup, 'wx', 0o600))
  db.prepare('VACUUM INTO ?').run(backup)
  syncToDisk(backup)
  if (process.platform !== 'win32') syncToDisk(dirname(backup))
}

function syncToDisk(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
