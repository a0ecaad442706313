import { mkdirSync, writeFileSync, copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { exec, waitFor } from './exec.ts'
import type { ExecOptions, ExecResult } from './exec.ts'
import { childrenOf, endProcess, findProcess, isRunning, lastLines, startProcess } from './processes.ts'
import type { RecordedProcess } from './processes.ts'
import { labKeys, sshdConfig } from './ssh.ts'

const scripts = join(import.meta.dirname, 'machines')

/** The array or the host: a set of namespaces on this computer with its own accounts, daemons and mounts. */
export class Machine {
  readonly name: 'array' | 'host'
  readonly root: string
  readonly logDir: string
  readonly #labDir: string
  readonly #runDir: string

  constructor(name: 'array' | 'host', labDir: string) {
    this.name = name
    this.#labDir = labDir
    this.root = join(labDir, name)
    this.logDir = join(this.root, 'log')
    this.#runDir = join(labDir, 'run')
  }

  /** The process that holds the namespaces; its only child is the machine's first process. */
  #holder(): RecordedProcess | undefined {
    return findProcess(this.#runDir, this.name)
  }

  isUp(): boolean {
    return this.#holder() !== undefined
  }

  /** Writes the machine's folder and starts it with its SSH server. The folder's earlier content is kept. */
  async start(sshPort: number): Promise<void> {
    if (this.isUp()) return
    for (const part of ['etc', 'etc.work', 'home', 'log'])
      mkdirSync(join(this.root, part), { recursive: true })
    copyFileSync(join(scripts, `${this.name}-setup.sh`), join(this.root, 'setup.sh'))
    const keys = labKeys(this.#labDir)
    writeFileSync(join(this.root, 'sshd_config'), sshdConfig(keys, this.name, sshPort))
    copyFileSync(keys.authorizedKeysFile, join(this.root, 'authorized_keys'))
    const logFile = join(this.logDir, 'machine.log')
    const hidden = join(this.#labDir, this.name === 'array' ? 'host' : 'array')
    mkdirSync(hidden, { recursive: true })
    const namespaces = ['--mount', '--pid', '--uts', '--fork', '--kill-child', '--mount-proc']
    const init = ['/bin/sh', join(scripts, 'machine.sh'), this.name, this.root, hidden]
    const holder = await startProcess({
      labDir: this.#labDir,
      runDir: this.#runDir,
      name: this.name,
      command: ['unshare', ...namespaces, ...init],
      logFile,
    })
    await waitFor(
      `the ${this.name} to come up`,
      async () => {
        if (!isRunning(holder)) throw new Error(`The ${this.name} did not come up: ${lastLines(logFile)}`)
        const answer = await this.run('test -f /run/lab-ready', { expectExit: [0, 1] })
        return answer.exitCode === 0
      },
      60_000,
      () => lastLines(logFile),
    )
    await this.startSshd()
  }

  /**
   * Runs shell text on the machine as root, not through its SSH server: for preparing and observing, also when a
   * test has stopped that server.
   */
  async run(script: string, options: ExecOptions = {}): Promise<ExecResult> {
    const holder = this.#holder()
    if (holder === undefined) throw new Error(`The ${this.name} of the lab in ${this.#labDir} is not up`)
    const ns = `/proc/${holder.pid}/ns`
    // The holder itself is outside the PID namespace that it made for its child.
    const into = [`--mount=${ns}/mnt`, `--uts=${ns}/uts`, `--pid=${ns}/pid_for_children`]
    return exec('nsenter', [...into, '--', '/bin/sh', '-c', script], options)
  }

  /** Runs one of the scripts in `machines/`. */
  async runFile(name: string, args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const script = readFileSync(join(scripts, name), 'utf8')
    const quoted = args.map((argument) => `'${argument.replaceAll("'", `'\\''`)}'`).join(' ')
    return this.run(`set -- ${quoted}\n${script}`, options)
  }

  async startSshd(): Promise<void> {
    await this.run(`/usr/sbin/sshd -f ${this.root}/sshd_config -E ${this.logDir}/sshd.log`)
  }

  /** Ends the SSH server with every session: what a console sees when the network or the machine is gone. */
  async stopSshd(): Promise<void> {
    await this.run(
      'for p in /proc/[0-9]*; do if grep -qx sshd "$p/comm" 2> /dev/null; then kill -9 "${p#/proc/}"; fi; done',
    )
    await waitFor(
      'the SSH server to end',
      async () =>
        (await this.run('! grep -qsx sshd /proc/[0-9]*/comm', { expectExit: [0, 1] })).exitCode === 0,
      60_000,
    )
  }

  /**
   * Ends everything on the machine and the machine itself, and gives its loop devices back. Not up: nothing. When
   * giving back fails the machine is ended all the same, then this throws.
   */
  async stop(): Promise<void> {
    const holder = this.#holder()
    if (holder === undefined) return
    const [init] = childrenOf(holder)
    try {
      if (init !== undefined) await this.runFile('drain.sh', [this.#labDir], { timeoutMs: 60_000 })
    } finally {
      // The kernel ends all processes of a PID namespace before its first process is gone.
      if (init !== undefined) await endProcess(init)
      await endProcess(holder)
    }
  }
}
