import { randomBytes } from 'node:crypto'
import { readFile, realpath } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import { contentSecurityPolicy, noncePlaceholder } from './content-security-policy.ts'

export interface PageResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

const mediaTypes: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
}

const empty = (status: number, headers: Record<string, string> = {}): PageResponse => ({
  status,
  headers: { 'X-Content-Type-Options': 'nosniff', ...headers },
  body: new Uint8Array(),
})

/**
 * Answers a request for a file of the built page: GET and HEAD only, known file types only, nothing outside `root`
 * (also not through a symbolic link). `path` is the path of the URL as it came, still percent-encoded.
 */
export async function servePage(root: string, method: string, path: string): Promise<PageResponse> {
  if (method !== 'GET' && method !== 'HEAD') return empty(405, { Allow: 'GET, HEAD' })
  const file = await findFile(root, path)
  const mediaType = file === undefined ? undefined : mediaTypes[extname(file)]
  if (file === undefined || mediaType === undefined) return empty(404)
  const bytes = await readFile(file)
  const isPage = extname(file) === '.html'
  const nonce = randomBytes(16).toString('base64url')
  const body = isPage ? Buffer.from(bytes.toString('utf8').replaceAll(noncePlaceholder, nonce)) : bytes
  const headers = {
    'Content-Type': mediaType,
    'X-Content-Type-Options': 'nosniff',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
    'Content-Security-Policy': contentSecurityPolicy(nonce),
  }
  return { status: 200, headers, body: method === 'HEAD' ? new Uint8Array() : body }
}

async function findFile(root: string, path: string): Promise<string | undefined> {
  const decoded = decodePath(path)
  if (decoded === undefined) return undefined
  try {
    const realRoot = await realpath(root)
    const file = await realpath(join(realRoot, decoded === '/' ? 'index.html' : decoded))
    return file.startsWith(realRoot + sep) ? file : undefined
  } catch {
    // not there, a file used as a folder, or a name too long: to a page all the same
    return undefined
  }
}

/** undefined: not a plain absolute path. */
function decodePath(path: string): string | undefined {
  try {
    const decoded = decodeURIComponent(path)
    // eslint-disable-next-line no-control-regex
    if (!decoded.startsWith('/') || /[\\\u0000-\u001f:]/.test(decoded)) return undefined
    return decoded.split('/').some((part) => part === '..' || part === '.') ? undefined : decoded
  } catch {
    return undefined
  }
}
