import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync, copyFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkDependencies } from '../tools/check-dependencies.ts'

/** One specimen of each forbidden import: the rule named must report the file. */
const specimens: Record<string, [file: string, imported: string]> = {
  'shared-is-pure': ['src-shared/specimen-a.ts', 'node:fs'],
  preload: ['src-preload/specimen.ts', 'node:fs'],
  'renderer-not-main': ['src-renderer/specimen.ts', '../src-main/store/target.ts'],
  'main-not-renderer': ['src-main/app/specimen-a.ts', '../../src-renderer/target.ts'],
  'components-are-presentational': ['src-renderer/components/specimen.ts', '../api/target.ts'],
  'features-do-not-meet': ['src-renderer/features/a/specimen.ts', '../b/target.ts'],
  'only-electron-knows-electron': ['src-main/app/specimen-b.ts', 'electron'],
  'only-transports-know-ssh2': ['src-main/services/specimen-a.ts', 'ssh2'],
  'only-store-knows-sqlite': ['src-main/services/specimen-b.ts', 'better-sqlite3'],
  protocols: ['src-main/protocols/specimen.ts', 'node:net'],
  transports: ['src-main/transports/specimen.ts', '../store/target.ts'],
  drivers: ['src-main/drivers/arrays/a/specimen.ts', '../../../services/target.ts'],
  'drivers-do-not-meet': ['src-main/drivers/arrays/a/specimen-b.ts', '../b/target.ts'],
  store: ['src-main/store/specimen.ts', '../services/target.ts'],
  jobs: ['src-main/jobs/specimen.ts', '../drivers/arrays/a/target.ts'],
  units: ['src-main/units/specimen.ts', '../services/target.ts'],
  services: ['src-main/services/specimen-c.ts', '../drivers/arrays/a/target.ts'],
  api: ['src-main/api/specimen.ts', '../store/target.ts'],
  'ways-in': ['src-main/cli/specimen.ts', '../store/target.ts'],
  'app-not-ways-in': ['src-main/app/specimen-c.ts', '../cli/target.ts'],
}

const targets = [
  'src-main/store/target.ts',
  'src-main/services/target.ts',
  'src-main/cli/target.ts',
  'src-main/drivers/arrays/a/target.ts',
  'src-main/drivers/arrays/b/target.ts',
  'src-renderer/target.ts',
  'src-renderer/api/target.ts',
  'src-renderer/features/b/target.ts',
]

const root = join(import.meta.dirname, '..', '..')
let base: string
let violations: string[]

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'gantry-rules-'))
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(base, file)), { recursive: true })
    writeFileSync(join(base, file), text)
  }
  symlinkSync(join(root, 'node_modules'), join(base, 'node_modules'))
  copyFileSync(join(root, 'tsconfig.base.json'), join(base, 'tsconfig.base.json'))
  for (const file of targets) write(file, 'export const target = 1\n')
  for (const [file, imported] of Object.values(specimens)) write(file, `import '${imported}'\n`)
  ;({ violations } = await checkDependencies(base))
}, 60_000)

afterAll(() => rmSync(base, { recursive: true, force: true }))

test.each(Object.entries(specimens))('the rule %s reports its specimen', (rule, [file]) => {
  expect(violations.filter((line) => line.startsWith(`${rule}: ${file} -> `))).toHaveLength(1)
})
