import { join, resolve } from 'node:path'

export interface DataDirFacts {
  readonly platform: NodeJS.Platform
  readonly home: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** What the user named, which comes before everything else. */
  readonly chosen?: string | undefined
}

/** Where the inventory and the journal lie: the same folder for the window and the command line. */
export function findDataDir({ platform, home, env, chosen }: DataDirFacts): string {
  const named = chosen ?? nonEmpty(env['GANTRY_DATA_DIR'])
  if (named !== undefined) return resolve(named)
  if (platform === 'win32')
    return join(nonEmpty(env['LOCALAPPDATA']) ?? join(home, 'AppData', 'Local'), 'Gantry')
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', 'Gantry')
  // the XDG base directory specification: relative paths in the variable are ignored
  const xdg = nonEmpty(env['XDG_DATA_HOME'])
  return join(xdg?.startsWith('/') === true ? xdg : join(home, '.local', 'share'), 'gantry')
}

const nonEmpty = (text: string | undefined): string | undefined => (text === '' ? undefined : text)
