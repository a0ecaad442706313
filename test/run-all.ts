import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prefetchGuestDisk } from './lab/guest/guest.ts'
import { whyNoLab } from './lab/packages.ts'
import { installTestPackages } from './tools/install-packages.ts'

/** Runs every part of the tests, goes on when one fails, and ends with the sum: "N passed, N failed". */
interface Count {
  passed: number
  failed: number
  skipped: string[]
}

const root = join(import.meta.dirname, '..')
const reports = mkdtempSync(join(tmpdir(), 'gantry-tests-'))
const required = new Set((process.env['GANTRY_REQUIRE'] ?? '').split(',').filter(Boolean))

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } })
    child.on('error', () => resolve(127))
    child.on('exit', (code) => resolve(code ?? 1))
  })
}

async function check(): Promise<Count> {
  const code = await run('npm', ['run', '--silent', 'check'])
  return code === 0 ? { passed: 1, failed: 0, skipped: [] } : { passed: 0, failed: 1, skipped: [] }
}

interface VitestReport {
  numPassedTests: number
  numFailedTests: number
  numFailedTestSuites: number
  testResults: { assertionResults: { status: string; fullName: string }[] }[]
}

async function vitest(project: string): Promise<Count> {
  const file = join(reports, `${project}.json`)
  const code = await run('vitest', [
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
  ])
  const report = readReport<VitestReport>(file)
  if (report === undefined) return { passed: 0, failed: 1, skipped: [] }
  const skipped = report.testResults.flatMap(({ assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'skipped' || status === 'pending')
      .map(({ fullName }) => fullName),
  )
  const failed = Math.max(report.numFailedTests, code === 0 ? 0 : 1)
  return { passed: report.numPassedTests, failed, skipped }
}

interface PlaywrightReport {
  stats: { expected: number; unexpected: number; flaky: number; skipped: number }
}

async function playwright(project: string): Promise<Count> {
  const file = join(reports, `${project}.json`)
  const code = await run('npm', ['run', '--silent', `test:${project}`, '--', '--reporter=line,json'], {
    PLAYWRIGHT_JSON_OUTPUT_NAME: file,
  })
  const report = readReport<PlaywrightReport>(file)
  if (report === undefined) return { passed: 0, failed: 1, skipped: [] }
  const { expected, unexpected, flaky, skipped } = report.stats
  return {
    passed: expected,
    failed: Math.max(unexpected + flaky, code === 0 ? 0 : 1),
    skipped: skipped === 0 ? [] : [`${skipped} test(s) of ${project}`],
  }
}

function readReport<T>(file: string): T | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T
  } catch {
    return undefined
  }
}

/** What goes wrong here goes wrong again, and is reported, in the tests that need the guest. */
const prefetch = async (): Promise<unknown> =>
  whyNoLab() === undefined ? prefetchGuestDisk().catch((error: unknown) => error) : undefined

const parts: readonly { name: string; needs?: string; run: () => Promise<Count> }[] = [
  { name: 'check', run: check },
  { name: 'unit', run: () => vitest('unit') },
  { name: 'lab', needs: 'lab', run: () => vitest('lab') },
  { name: 'recovery', needs: 'lab', run: () => vitest('recovery') },
  { name: 'browser', needs: 'browser', run: () => playwright('browser') },
  { name: 'electron', needs: 'electron', run: () => playwright('electron') },
]

await installTestPackages()
const guestDisk = prefetch()
const total: Count = { passed: 0, failed: 0, skipped: [] }
const summary: string[] = []
for (const part of parts) {
  if (part.name === 'lab') await guestDisk
  const started = performance.now()
  process.stdout.write(`\n=== ${part.name}\n`)
  const count = await part.run()
  const missing = part.needs !== undefined && required.has(part.needs) ? count.skipped.length : 0
  total.passed += count.passed
  total.failed += count.failed + missing
  total.skipped.push(...count.skipped.map((name) => `${part.name}: ${name}`))
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  summary.push(
    `${part.name.padEnd(9)} ${String(count.passed).padStart(5)} passed ${String(count.failed).padStart(3)} failed ` +
      `${String(count.skipped.length).padStart(3)} skipped${missing > 0 ? ' (required: counted as failed)' : ''}  ${seconds} s`,
  )
}
rmSync(reports, { recursive: true, force: true })
process.stdout.write(`\n${summary.join('\n')}\n`)
if (total.skipped.length > 0)
  process.stdout.write(`Not run on this computer (reasons above):\n  ${total.skipped.join('\n  ')}\n`)
process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`)
process.exitCode = total.failed === 0 ? 0 : 1
