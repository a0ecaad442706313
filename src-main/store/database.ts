import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { migrate } from './migrate.ts'
import type { Migration } from './migrate.ts'
import { translateSqlError } from './sql-errors.ts'

/** The open database, as the repositories use it. */
export interface Connection {
  readonly db: Database.Database
  /** Runs `work` as one transaction that has the write lock from its beginning; nested calls join it. */
  readonly write: <T>(work: () => T) => T
}

/** How long a statement waits for another process's write; those last milliseconds. */
const busyTimeoutMs = 10_000

/**
 * Opens the database file, makes it and its directory (0600 in 0700) when they are not there, and brings it to
 * the newest version. Throws not-supported for a database of a newer Gantry, device-rejected when the file cannot be
 * read or written.
 */
export function openDatabase(path: string, migrations: readonly Migration[]): Connection {
  let db: Database.Database | undefined
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    // SQLite gives its -wal and -shm files the mode of the database file.
    closeSync(openSync(path, 'a', 0o600))
    chmodSync(path, 0o600)
    db = new Database(path, { timeout: busyTimeoutMs })
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = FULL')
    db.pragma('foreign_keys = ON')
    db.pragma('trusted_schema = OFF')
    migrate(db, path, migrations)
  } catch (error) {
    db?.close()
    throw translateSqlError(error, path)
  }
  const open = db
  return {
    db: open,
    write(work) {
      try {
        return open.transaction(work).immediate()
      } catch (error) {
        throw translateSqlError(error, path)
      }
    },
  }
}
