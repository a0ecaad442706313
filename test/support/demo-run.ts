import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const main = join(import.meta.dirname, '..', '..', 'src-main', 'cli', 'main.ts')

export interface DemoRun {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  /** Files, and processes whose command line names them, that are there after the demo. */
  readonly left: readonly string[]
}

export interface DemoOptions {
  readonly args?: readonly string[]
  /** Without it: nothing but Node. */
  readonly path?: string
  /** Called with what was printed so far; gets the process, to send it a signal. */
  readonly onText?: (text: string, kill: (signal: NodeJS.Signals) => void) => void
}

/** `gantry demo` as a user runs it, with a folder for temporary files of its own. */
export async function runDemoCommand({ args = [], path, onText }: DemoOptions): Promise<DemoRun> {
  const folder = mkdtempSync(join(tmpdir(), 'gd-'))
  const env = { PATH: path ?? dirname(process.execPath), HOME: folder, TMPDIR: folder }
  const child = spawn(process.execPath, [main, 'demo', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text
      onText?.(said.stdout + said.stderr, (signal) => child.kill(signal))
    })
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', resolve)
    })
    return { code, ...said, left: [...readdirSync(folder), ...processesWith(folder)] }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function processesWith(text: string): string[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        return commandLine.includes(text) ? [`${pid}: ${commandLine.replaceAll('\0', ' ')}`] : []
      } catch {
        return []
      }
    })
}
