import { posix } from 'node:path'
import { sshConnectionSchema } from '#shared/domain/connection.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { present } from './parse-options.ts'
import { parseAddress } from './ssh-options.ts'

export interface SftpPlace {
  readonly server: { readonly host: string; readonly port?: number; readonly user?: string }
  /** As the server takes it: absolute, or from the login folder. */
  readonly path: string
}

const advice = 'Write it as sftp://[user@]server[:port]/path; /~/path begins in the login folder.'

/**
 * "sftp://root@files1:2222/srv/web%20server"; undefined: it is a path. Throws bad-request, without repeating a
 * password that was written into it.
 */
export function parseSftpUrl(text: string): SftpPlace | undefined {
  const { scheme, authority = '', path = '' } = urlPattern.exec(text)?.groups ?? {}
  if (scheme === undefined) return undefined
  if (scheme.toLowerCase() !== 'sftp')
    throw new AppError('bad-request', `Files are not read over "${scheme}"`, { advice })
  if (/:[^@]*@/.test(authority)) throw withPassword()
  // a slash in a password ends what looks like the server: "user:12/34@server/path"
  if (/^[^[@]*:/.test(authority) && path.includes('@'))
    throw withPassword(' An "@" in a path is written as %40 where a port is named.')
  const server = parseServer(authority)
  const decoded = decode(path)
  if (decoded === '' || decoded === '/' || decoded.includes('\0'))
    throw new AppError('bad-request', `"${text}" names no file or folder`, { advice })
  const fromLogin = decoded === '/~' ? '.' : decoded.replace(/^\/~\//, '')
  return { server, path: posix.normalize(fromLogin).replace(/(?<=.)\/$/, '') }
}

/** What is wrong with it is not repeated: it may be a part of a password. */
function parseServer(authority: string): SftpPlace['server'] {
  try {
    const { user, ...place } = parseAddress(authority)
    const server = { ...place, ...present({ user: user === undefined ? undefined : decode(user) }) }
    if (sshConnectionSchema.safeParse(server).success) return server
  } catch {
    // the same as an address that can be read and is none
  }
  throw new AppError('bad-request', 'What follows sftp:// is not the address of a server', { advice })
}

const withPassword = (more = ''): AppError =>
  new AppError('bad-request', 'A password does not belong into an address, where others can read it', {
    advice: `Leave it out: it is asked for, or --password-env names a variable that holds it.${more}`,
  })

const urlPattern = /^(?<scheme>[a-z][a-z0-9+.-]*):\/\/(?<authority>[^/]*)(?<path>.*)$/is

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    throw new AppError(
      'bad-request',
      `"${text}" has a "%" that is not followed by a character's two digits`,
      {
        advice: 'Write a "%" itself as %25.',
        cause: error,
      },
    )
  }
}
