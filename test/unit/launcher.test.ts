import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

const launcher = resolve('bin/gantry.mjs')
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gantry-launcher-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** Runs from a folder that is not the checkout, as a user does. */
const run = (node: string, args: readonly string[]): Promise<Ended> =>
  new Promise((done) => {
    const env = {
      ...process.env,
      GANTRY_DATA_DIR: join(folder, 'data'),
      XDG_CACHE_HOME: join(folder, 'cache'),
      LOCALAPPDATA: join(folder, 'cache'),
    }
    execFile(node, args, { cwd: folder, env }, (error, out, err) =>
      done({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    )
  })

/** A Node older than what the sources need, if this computer has one. */
const oldNode = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => existsSync(path))

test('the command runs from its sources', async () => {
  const ended = await run(process.execPath, [launcher, 'jobs', 'list', '--json'])
  expect(ended).toEqual({ code: 0, out: '[]\n', err: '' })
})

test.skipIf(process.platform !== 'linux')('what is compiled is kept with the user alone', async () => {
  const compiled = join(folder, 'cache', 'gantry', 'compiled')
  await run(process.execPath, [launcher, 'jobs', 'list'])
  expect((await stat(compiled)).mode & 0o077).toBe(0)
  expect(await readdir(compiled)).not.toEqual([])

  await rm(compiled, { recursive: true })
  await mkdir(compiled)
  await chmod(compiled, 0o777)
  expect(await run(process.execPath, [launcher, 'jobs', 'list'])).toMatchObject({ code: 0 })
  expect(await readdir(compiled)).toEqual([])
  await chmod(compiled, 0o700)
})

test('the exit code and the words of an error arrive', async () => {
  const ended = await run(process.execPath, [launcher, 'jobs', 'show', 'none'])
  expect(ended.code).toBe(3)
  expect(ended.err).toContain('job none: There is no such job (not-found)')
})

test('an older Node hands over to the one of the checkout, or says what to do', async ({ skip }) => {
  if (oldNode === undefined) {
    process.stderr.write('skipped: no second Node on this computer\n')
    skip('no second Node on this computer')
    return
  }
  const ended = await run(oldNode, [launcher, 'jobs', 'show', 'none'])
  expect(ended.code).toBe(3)

  const { stdout } = await new Promise<{ stdout: string }>((done) => {
    execFile(oldNode, ['-p', 'process.versions.node.split(".")[0]'], (_error, out) => done({ stdout: out }))
  })
  if (Number(stdout) >= 24) return
  await mkdir(join(folder, 'bin'))
  await copyFile(launcher, join(folder, 'bin/gantry.mjs'))
  const alone = await run(oldNode, [join(folder, 'bin/gantry.mjs'), 'jobs', 'list'])
  expect(alone.code).toBe(1)
  expect(alone.err).toContain('gantry needs Node 24 or newer; this is Node')
})
