import { execFile } from 'node:child_process'
import { truncateSync } from 'node:fs'
import { TargetBench } from '#test/support/target-bench.ts'

/** libiscsi's conformance tests (`iscsi-test-cu`, Debian's libiscsi-bin) against our target. */
export type CuOutcome = 'passed' | 'failed' | 'skipped' | 'crashed' | 'timed out'

export interface CuResult {
  /** "Read10.Simple" */
  readonly name: string
  readonly outcome: CuOutcome
  /** What the tool printed about a test that did not pass. */
  readonly detail: string
}

const initiators = [
  'iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-test',
  'iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-test-2',
]
/** WRITE SAME of 65,536 blocks is the largest that a test does. */
const sizeBytes = 64 * 1024 * 1024
const timeoutMs = 60_000
/** Tests that are about a LUN which cannot be written. */
const needsReadOnly = new Set(['ReadOnly.ReadOnlySBC'])

function run(
  args: readonly string[],
): Promise<{ code: number | string | null; text: string; timedOut: boolean }> {
  return new Promise((resolve) => {
    execFile(
      'iscsi-test-cu',
      args,
      { timeout: timeoutMs, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        const text = `${stdout}\n${stderr}`
        resolve({
          code: error === null ? 0 : (error.signal ?? error.code ?? 1),
          text,
          timedOut: error?.killed ?? false,
        })
      },
    )
  })
}

export async function listCuTests(): Promise<string[]> {
  const { text } = await run(['--list'])
  return [...text.matchAll(/^ALL\.(\w+\.[\w-]+)$/gm)].map(([, name = '']) => name)
}

function judge(name: string, { code, text, timedOut }: Awaited<ReturnType<typeof run>>): CuResult {
  const summary = /^\s*tests\s+1\s+1\s+(\d)\s+(\d)/m.exec(text)
  const said = [...new Set(text.match(/\[(?:SKIPPED|FAILED)\][^\n]*|\.c:\d+[^\n]*/g) ?? [])].join('; ').trim()
  const outcome: CuOutcome = timedOut
    ? 'timed out'
    : summary === null
      ? 'crashed'
      : summary[1] !== '1'
        ? 'failed'
        : text.includes('[SKIPPED]')
          ? 'skipped'
          : 'passed'
  return { name, outcome, detail: outcome === 'crashed' ? `ended with ${String(code)}; ${said}` : said }
}

/** Each test in a process of its own; `lanes` of them side by side, each lane with LUNs of its own. */
export async function runCuTests(names: readonly string[], lanes = 4): Promise<CuResult[]> {
  const bench = await TargetBench.start()
  try {
    const results = new Map<string, CuResult>()
    const waiting = [...names]
    const lane = async (_: unknown, index: number): Promise<void> => {
      const lun = await bench.addLun(`lane-${index}`, { sizeBytes, initiators })
      const fixed = await bench.addLun(`fixed-${index}`, { sizeBytes, initiators, readOnly: true })
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
        // MultipathIO.CompareAndWrite counts on zeros that it does not write itself.
        truncateSync(lun.path, 0)
        truncateSync(lun.path, sizeBytes)
        const { target } = needsReadOnly.has(name) ? fixed.identity : lun.identity
        const url = `iscsi://127.0.0.1:${bench.port}/${target}/1`
        // The second address is the second path of the tests of several paths.
        const result = await run(['--dataloss', '--allow-sanitize', '-n', '-t', `ALL.${name}`, url, url])
        results.set(name, judge(name, result))
      }
    }
    await Promise.all(Array.from({ length: lanes }, lane))
    if (bench.troubles.length > 0) throw new Error(`the target says: ${bench.troubles.join('; ')}`)
    return names.flatMap((name) => results.get(name) ?? [])
  } finally {
    await bench.close()
  }
}
