import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Lab } from './lab.ts'

const root = join(import.meta.dirname, '..', '..')
const main = join(root, 'src-main', 'cli', 'main.ts')
/** Half of the start of a process is compiling. */
const compileCache = join(root, 'node_modules', '.cache', 'gantry-compiled')

export interface CommandResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Called with the id of the process. */
  readonly onStart?: (pid: number) => void
  /** Called with each piece of standard error; gets the process, to send it a signal. */
  readonly onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void
}

/** The `gantry` command as a user runs it: a process of its own on a data folder. */
export class GantryCommand {
  readonly dataDir: string
  readonly #env: Readonly<Record<string, string>>

  /** `env`: of every call, beside this process's own. */
  constructor(dataDir = mkdtempSync(join(tmpdir(), 'gantry-data-')), env = {}) {
    this.dataDir = dataDir
    this.#env = env
  }

  run(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [main, ...args], {
        env: {
          ...process.env,
          NODE_COMPILE_CACHE: compileCache,
          ...this.#env,
          ...options.env,
          GANTRY_DATA_DIR: this.dataDir,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      if (child.pid !== undefined) options.onStart?.(child.pid)
      let stdout = ''
      let stderr = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        stderr += text
        options.onStderr?.(text, (signal) => child.kill(signal))
      })
      child.on('error', reject)
      child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
    })
  }

  /** Runs it with --json and expects success. */
  async json<T>(args: readonly string[], options: CommandOptions = {}): Promise<T> {
    const result = await this.ok([...args, '--json'], options)
    return JSON.parse(result.stdout) as T
  }

  async ok(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const result = await this.run(args, options)
    if (result.code !== 0)
      throw new Error(
        `gantry ${args.join(' ')} ended with ${result.code ?? result.signal}:\n${result.stderr}${result.stdout}`,
      )
    return result
  }

  /** Adds the lab's array and host under the names "array" and "host". */
  async addLab(lab: Lab, further: readonly string[] = []): Promise<void> {
    await this.ok(['array', 'add', 'array', ...sshOptions(lab, 'array'), ...arrayOptions(lab), ...further])
    await this.ok(['host', 'add', 'host', ...sshOptions(lab, 'host'), ...hostOptions(lab), ...further])
  }

  dispose(): void {
    rmSync(this.dataDir, { recursive: true, force: true })
  }
}

export function sshOptions(lab: Lab, machine: 'array' | 'host' | 'guest', user = 'root'): string[] {
  const { ssh } = lab.state
  const { sshHost, sshPort } = lab.state[machine]
  return [
    ...['--ssh', `${user}@${sshHost}:${sshPort}`, '--identity', ssh.identityFile],
    ...['--known-hosts', ssh.knownHostsFile, '--ssh-config', 'none'],
  ]
}

export function arrayOptions(lab: Lab): string[] {
  const { portal, tgtControlPort, volumes } = lab.state.array
  return [
    ...Object.entries(volumes).flatMap(([name, path]) => ['--volume', `${name}=${path}`]),
    ...['--portal', portal, '--tgt-control-port', String(tgtControlPort)],
  ]
}

/** Emulation: /dev/kvm may be there and yet run no guest, on a computer that is a virtual machine itself. */
export function hostOptions(lab: Lab): string[] {
  const { stateDir, iqn } = lab.state.host
  return ['--state-dir', stateDir, '--initiator-name', iqn, '--accelerator', 'emulation']
}

/** The guest has an initiator of its own, and reaches the array under another address. */
export function guestOptions(lab: Lab): string[] {
  const { stateDir, portalAsSeen } = lab.state.guest
  return ['--state-dir', stateDir, '--portal', `array=${portalAsSeen}`, '--accelerator', 'emulation']
}
