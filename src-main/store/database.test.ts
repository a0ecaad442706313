import { chmodSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { makeTempDir } from '#test/unit/temp-dir.ts'
import { openDatabase } from './database.ts'
import type { Migration } from './migrate.ts'
import { migrations } from './migrations/index.ts'
import { translateSqlError } from './sql-errors.ts'

const latest = migrations.at(-1)?.version
const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)
const backupsIn = (dir: string): string[] => readdirSync(dir).filter((name) => name.endsWith('.backup'))
const versionOf = (db: Database.Database): unknown => db.pragma('user_version', { simple: true })

/** A database as the Gantry that knew only these migrations left it, with an array in it. */
function makeOldDatabase(path: string, known: readonly Migration[]): void {
  const old = openDatabase(path, known)
  old.db
    .prepare('INSERT INTO arrays (name, config) VALUES (?, ?)')
    .run('kept', JSON.stringify({ from: 'old version' }))
  old.db.close()
}

describe('database file', () => {
  it('is made 0600 in a 0700 directory, with its log and index files', () => {
    const path = join(makeTempDir(), 'data', 'gantry.db')
    const { db } = openDatabase(path, migrations)
    expect(modeOf(join(path, '..'))).toBe('700')
    expect(['', '-wal', '-shm'].map((suffix) => modeOf(path + suffix))).toEqual(['600', '600', '600'])
    db.close()
  })

  it('takes rights away from a file that others may read', () => {
    const path = join(makeTempDir(), 'gantry.db')
    openDatabase(path, migrations).db.close()
    chmodSync(path, 0o644)
    openDatabase(path, migrations).db.close()
    expect(modeOf(path)).toBe('600')
  })

  it('is opened with WAL, synchronous=FULL and foreign keys', () => {
    const { db } = openDatabase(join(makeTempDir(), 'gantry.db'), migrations)
    const read = (name: string): unknown => db.pragma(name, { simple: true })
    expect(read('journal_mode')).toBe('wal')
    expect(read('synchronous')).toBe(2)
    expect(read('foreign_keys')).toBe(1)
    expect(read('busy_timeout')).toBe(10_000)
    db.close()
  })

  it('has STRICT tables only', () => {
    const { db } = openDatabase(join(makeTempDir(), 'gantry.db'), migrations)
    const tables = db
      .prepare<[], { name: string; strict: number }>(
        "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'",
      )
      .all()
    expect(tables.length).toBeGreaterThan(10)
    expect(tables.filter((table) => table.strict !== 1)).toEqual([])
    db.close()
  })

  it('that is not a database is device-rejected and stays as it was', () => {
    const path = join(makeTempDir(), 'gantry.db')
    const text = 'not a database '.repeat(200)
    writeFileSync(path, text)
    expect(() => openDatabase(path, migrations)).toThrow(expect.objectContaining({ code: 'device-rejected' }))
    expect(readFileSync(path, 'utf8')).toBe(text)
  })
})

describe('migrations', () => {
  it('are numbered 1, 2, 3 ...', () => {
    expect(migrations.map((migration) => migration.version)).toEqual(migrations.map((_, index) => index + 1))
  })

  it('bring a new database to the latest version without a backup', () => {
    const dir = makeTempDir()
    const { db } = openDatabase(join(dir, 'gantry.db'), migrations)
    expect(versionOf(db)).toBe(latest)
    expect(backupsIn(dir)).toEqual([])
    db.close()
  })

  it.each(migrations.slice(0, -1))('bring version $version to the latest, after a backup', ({ version }) => {
    const dir = makeTempDir()
    const path = join(dir, 'gantry.db')
    makeOldDatabase(path, migrations.slice(0, version))

    const { db } = openDatabase(path, migrations)
    expect(versionOf(db)).toBe(latest)
    expect(db.prepare('SELECT name FROM arrays').pluck().all()).toEqual(['kept'])
    db.close()

    const [backup, ...more] = backupsIn(dir)
    expect(more).toEqual([])
    const backupPath = join(dir, backup ?? '')
    expect(modeOf(backupPath)).toBe('600')
    const copy = new Database(backupPath, { readonly: true })
    expect(versionOf(copy)).toBe(version)
    expect(copy.prepare('SELECT name FROM arrays').pluck().all()).toEqual(['kept'])
    copy.close()
  })

  it('make no backup when there is nothing to do', () => {
    const dir = makeTempDir()
    openDatabase(join(dir, 'gantry.db'), migrations).db.close()
    openDatabase(join(dir, 'gantry.db'), migrations).db.close()
    expect(backupsIn(dir)).toEqual([])
  })

  it('that fail leave the database at its version, with its data', () => {
    const path = join(makeTempDir(), 'gantry.db')
    makeOldDatabase(path, migrations)
    const broken = [
      ...migrations,
      { version: 98, up: 'CREATE TABLE half (name TEXT) STRICT' },
      { version: 99, up: 'CREATE TABLE arrays (name TEXT)' },
    ]
    expect(() => openDatabase(path, broken)).toThrow(/already exists/)
    const { db } = openDatabase(path, migrations)
    expect(versionOf(db)).toBe(latest)
    expect(db.prepare("SELECT name FROM sqlite_schema WHERE name = 'half'").all()).toEqual([])
    expect(db.prepare('SELECT name FROM arrays').pluck().all()).toEqual(['kept'])
    db.close()
  })

  it('refuse a database of a newer Gantry, and change nothing', () => {
    const dir = makeTempDir()
    const path = join(dir, 'gantry.db')
    openDatabase(path, [
      ...migrations,
      { version: 99, up: 'CREATE TABLE newer (name TEXT) STRICT' },
    ]).db.close()
    const before = readFileSync(path)
    expect(() => openDatabase(path, migrations)).toThrow(expect.objectContaining({ code: 'not-supported' }))
    expect(readFileSync(path)).toEqual(before)
    expect(backupsIn(dir)).toEqual([])
  })

  it("refuse somebody else's database", () => {
    const path = join(makeTempDir(), 'other.db')
    const other = new Database(path)
    other.exec('CREATE TABLE recipes (name TEXT)')
    other.close()
    expect(() => openDatabase(path, migrations)).toThrow(expect.objectContaining({ code: 'bad-request' }))
  })
})

describe('translateSqlError', () => {
  it.each([
    ['SQLITE_BUSY', 'busy'],
    ['SQLITE_BUSY_SNAPSHOT', 'busy'],
    ['SQLITE_FULL', 'device-rejected'],
    ['SQLITE_IOERR_FSYNC', 'device-rejected'],
    ['EACCES', 'device-rejected'],
    ['SQLITE_CONSTRAINT_FOREIGNKEY', 'not-found'],
    ['SQLITE_CONSTRAINT_UNIQUE', 'busy'],
  ])('makes %s %s', (code, expected) => {
    const error = Object.assign(new Error('words'), { code })
    expect(translateSqlError(error, '/x')).toMatchObject({ code: expected, facts: { [code]: 'words' } })
  })

  it('leaves what it does not know', () => {
    const error = Object.assign(new Error('words'), { code: 'SQLITE_MISUSE' })
    expect(translateSqlError(error, '/x')).toBe(error)
  })
})
