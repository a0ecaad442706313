import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, test } from '@playwright/test'
import { existsSync } from 'node:fs'
import { skipReason } from '../support/requirement.ts'

const out = join(import.meta.dirname, '../../out')
const reason = skipReason('browser', existsSync(out) ? undefined : 'nothing is built (npm run build)')
test.skip(reason !== undefined, reason ?? '')

async function bundles(folder: string): Promise<{ name: string; text: string }[]> {
  const names = await readdir(join(out, folder), { recursive: true })
  const files = names.filter((name) => /\.(c?js|mjs|html|css|map)$/.test(name))
  return Promise.all(
    files.map(async (name) => ({ name, text: await readFile(join(out, folder, name), 'utf8') })),
  )
}

const requiredBy = (text: string): string[] => [
  ...new Set([...text.matchAll(/\brequire\(\s*["'`]([^"'`]+)["'`]\s*\)/g)].map(([, name]) => name ?? '')),
]

test('the preload requires electron and nothing else: a sandboxed one can load nothing more', async () => {
  const files = await bundles('preload')
  expect(files.map(({ name }) => name)).toEqual(['index.cjs'])
  for (const { text } of files) expect(requiredBy(text)).toEqual(['electron'])
})

test('the main process loads packages and bundles none of them', async () => {
  const files = await bundles('main')
  const index = files.find(({ name }) => name === 'index.cjs')
  const packages = requiredBy(index?.text ?? '').filter(
    (name) => !name.startsWith('node:') && !name.startsWith('.'),
  )
  expect(packages).toContain('zod')
  for (const { text } of files) expect(text).not.toContain('node_modules/')
})

test('the thread of the iSCSI sessions starts from what was built', async () => {
  const worker = new Worker(join(out, 'main/iscsi-worker.cjs'))
  const portal = { host: '127.0.0.1', port: 1 }
  const input = { portal, initiatorName: 'iqn.2026-11.test:build', isid: new Uint8Array(6) }
  worker.postMessage({ id: 1, method: 'discover', input }, [])
  const [answer] = (await once(worker, 'message')) as unknown[]
  expect(answer).toMatchObject({ id: 1, error: { code: 'unreachable' } })
  await worker.terminate()
})

test('the process of an embedded array starts from what was built', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-built-'))
  const child = fork(join(out, 'main/embedded-daemon.cjs'), [folder, '0.0.0'], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  expect(await once(child, 'message')).toEqual([{ born: true }, undefined])
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  expect(await ended).toEqual([0, null])
  await rm(folder, { recursive: true })
})

test('the page has no schemas, no inline script, no address of another origin, no source maps', async () => {
  const files = await bundles('renderer')
  expect(files.filter(({ name }) => name.endsWith('.map'))).toEqual([])
  for (const { name, text } of files) {
    expect(text, name).not.toMatch(/\$ZodType|_zod\b/)
    if (name.endsWith('.html')) {
      expect(text).not.toMatch(/<script(?![^>]*\bsrc=)[^>]*>/)
      expect(text).not.toMatch(/(src|href)="(https?:)?\/\//)
      expect(text).not.toMatch(/\sstyle=/)
    }
    if (name.endsWith('.css')) expect(text).not.toMatch(/@import|url\(\s*["']?(https?:)?\/\//)
  }
})
