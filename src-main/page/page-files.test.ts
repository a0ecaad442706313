import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { contentSecurityPolicy, noncePlaceholder } from './content-security-policy.ts'
import { servePage } from './page-files.ts'

let folder: string
let root: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gantry-page-'))
  root = join(folder, 'page')
  await mkdir(join(root, 'assets'), { recursive: true })
  await writeFile(join(root, 'index.html'), `<meta property="csp-nonce" nonce="${noncePlaceholder}">`)
  await writeFile(join(root, 'assets/index.js'), 'export {}')
  await writeFile(join(root, 'assets/index.js.map'), '{}')
  await writeFile(join(folder, 'outside.js'), 'secret')
  await mkdir(join(folder, 'page-beside'))
  await writeFile(join(folder, 'page-beside/x.js'), 'secret')
  await symlink(join(folder, 'outside.js'), join(root, 'link.js'))
})
afterAll(() => rm(folder, { recursive: true }))

test('the policy is the agreed one, word for word', () => {
  expect(contentSecurityPolicy('N')).toBe(
    "default-src 'none'; script-src 'self'; style-src-elem 'self' 'nonce-N'; style-src-attr 'none'; " +
      "img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; object-src 'none'; " +
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  )
})

test('every load of the page has a nonce of its own, the same in header and page', async () => {
  const first = await servePage(root, 'GET', '/')
  const second = await servePage(root, 'GET', '/index.html')
  const nonceOf = (text: string): string | undefined => /nonce[-=]"?([\w-]{22})/.exec(text)?.[1]
  const nonce = nonceOf(first.headers['Content-Security-Policy'] ?? '')
  expect(nonce).toBeDefined()
  expect(nonceOf(Buffer.from(first.body).toString())).toBe(nonce)
  expect(nonceOf(Buffer.from(second.body).toString())).not.toBe(nonce)
})

test('files have a fixed type and no sniffing', async () => {
  const response = await servePage(root, 'GET', '/assets/index.js')
  expect(response.headers).toMatchObject({
    'Content-Type': 'text/javascript; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
  })
  expect((await servePage(root, 'HEAD', '/assets/index.js')).body).toHaveLength(0)
})

test.each([
  '/../outside.js',
  '/%2e%2e/outside.js',
  '/assets/..%2f..%2foutside.js',
  '/..%5coutside.js',
  '/%2e%2e%2fpage-beside/x.js',
  '/link.js',
  '/assets/index.js%00.html',
  '/%',
  '/assets',
  '/assets/index.js/x',
  '/assets/index.js.map',
  '/missing.js',
  '/C:/x.js',
  'assets/index.js',
])('not found: %s', async (path) => {
  expect((await servePage(root, 'GET', path)).status).toBe(404)
})

test.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'get'])('%s is not allowed', async (method) => {
  expect((await servePage(root, method, '/')).status).toBe(405)
})
