import { glob, readFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import path from 'node:path'
import { parse } from 'ssh-config'
import { AppError } from '#shared/errors/app-error.ts'

/** What a configuration file says about one host, keys in lower case, as they stand there. */
export type ConfigValues = Readonly<Record<string, string | readonly string[]>>

export interface ConfigQuery {
  /** The file; `isDefault`: it may be missing. */
  readonly file: string
  readonly isDefault: boolean
  readonly host: string
  readonly user: string | undefined
  readonly homeDir: string
}

const maxIncludeDepth = 16
const probe = 'GantryProbe'

function wrong(file: string, what: string, cause?: unknown): AppError {
  return new AppError('bad-request', `The SSH configuration ${file} cannot be used: ${what}`, {
    advice: 'Correct the file, or name another one (or none) in the connection.',
    cause,
  })
}

/** Words of a directive; double quotes hold blanks together. */
const words = (text: string): string[] =>
  [...text.matchAll(/"([^"]*)"|[^\s"]+/g)].map((match) => match[1] ?? match[0])

/**
 * The text of a configuration file with what it includes put in place, for one host: a file that is included under
 * a Host or Match that does not apply stays out, as in OpenSSH. ssh-config itself leaves Include alone.
 */
class Expansion {
  readonly #query: ConfigQuery
  #text = ''
  #header = 'Host *'

  constructor(query: ConfigQuery) {
    this.#query = query
  }

  compute(file: string, extra = ''): ConfigValues {
    const { host, user } = this.#query
    try {
      const config = parse(this.#text + extra)
      const options = { ignoreCase: true, matchExec: false }
      return config.compute({ Host: host, ...(user === undefined ? {} : { User: user }) }, options)
    } catch (error) {
      throw wrong(file, error instanceof Error ? error.message : String(error), error)
    }
  }

  async add(file: string, stack: readonly string[]): Promise<void> {
    if (stack.includes(file)) throw wrong(file, `it includes itself (${[...stack, file].join(' -> ')})`)
    if (stack.length >= maxIncludeDepth)
      throw wrong(file, `more than ${maxIncludeDepth} files include each other`)
    for (const line of (await readFile(file, 'utf8')).split(/\r?\n/)) {
      const include = /^\s*include(?:\s*=\s*|\s+)(.*)$/i.exec(line)
      if (include !== null) await this.#include(include[1] ?? '', file, [...stack, file])
      else if (/^\s*(?:host|match)(?:\s|=)/i.test(line)) this.#open(line)
      // ssh-config would run nslookup for it.
      else if (!/^\s*canonicalizehostname(?:\s|=)/i.test(line))
        this.#text += `${line.replace(/^(\s*)hostname(?=\s|=)/i, '$1HostName').replace(/^(\s*)user(?=\s|=)/i, '$1User')}\n`
    }
  }

  #open(header: string): void {
    this.#header = header
    this.#text += `${header}\n`
  }

  async #include(list: string, file: string, stack: readonly string[]): Promise<void> {
    const isActive = Object.hasOwn(this.compute(file, `  ${probe} yes\n`), probe.toLowerCase())
    if (!isActive) return
    const header = this.#header
    const { homeDir } = this.#query
    for (const word of words(list)) {
      const pattern = path.resolve(path.join(homeDir, '.ssh'), word.replace(/^~(?=\/)/, homeDir))
      const files: string[] = []
      for await (const found of glob(pattern)) files.push(found)
      for (const found of files.toSorted()) await this.add(found, stack)
    }
    this.#open(header)
  }
}

/**
 * What the SSH configuration says about a host. `Match exec` never matches: reading a file runs nothing.
 * Throws bad-request (syntax, loops), not-found (a named file that is missing).
 */
export async function readSshConfig(query: ConfigQuery): Promise<ConfigValues> {
  const expansion = new Expansion(query)
  try {
    await expansion.add(query.file, [])
  } catch (error) {
    if (error instanceof AppError) throw error
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (isMissing && query.isDefault) return {}
    if (isMissing)
      throw new AppError('not-found', `There is no SSH configuration ${query.file}`, { cause: error })
    throw wrong(query.file, error instanceof Error ? error.message : String(error), error)
  }
  return expansion.compute(query.file)
}

/** Replaces %h and its like (ssh_config(5), TOKENS) and a leading ~. Throws bad-request on an unknown token. */
export function expandTokens(text: string, tokens: Readonly<Record<string, string>>): string {
  return text.replace(/%(.?)/g, (whole, letter: string) => {
    if (letter === '%') return '%'
    const value = tokens[letter]
    if (value !== undefined) return value
    throw new AppError('bad-request', `The SSH configuration uses ${whole}, which is not supported there`, {
      facts: { text },
    })
  })
}

export function localUser(): string {
  try {
    return userInfo().username
  } catch {
    return 'root'
  }
}
