import { AppError } from '#shared/errors/app-error.ts'

const restoreAdvice =
  'Free space or correct the rights of the directory; if the file itself is damaged, put a backup in its place.'

/** SQLite's and the file system's errors as AppErrors of the database file; anything else stays what it is. */
export function translateSqlError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error instanceof AppError || !('code' in error)) return error
  const code = String(error.code)
  const details = { object: `database ${path}`, facts: { [code]: error.message }, cause: error }
  if (code.startsWith('SQLITE_BUSY') || code === 'SQLITE_LOCKED')
    return new AppError('busy', 'Another process is writing to the database', details)
  if (code === 'SQLITE_CONSTRAINT_FOREIGNKEY')
    return new AppError('not-found', 'It refers to something that is not in the inventory', details)
  if (code === 'SQLITE_CONSTRAINT_UNIQUE' || code === 'SQLITE_CONSTRAINT_PRIMARYKEY')
    return new AppError('busy', 'Something else in the inventory has this name or identity', details)
  if (/^(SQLITE_(FULL|IOERR|READONLY|CANTOPEN|NOTADB|CORRUPT|PERM)|E[A-Z]+$)/.test(code))
    return new AppError('device-rejected', 'The database cannot be read or written', {
      ...details,
      advice: restoreAdvice,
    })
  return error
}
