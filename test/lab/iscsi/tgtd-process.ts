import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { exec } from '../exec.ts'
import { findFreePorts } from '../ports.ts'

/** A tgtd of its own on this computer, without targets. Needs root and tgt. */
export class TgtdProcess {
  /** No other tgtd on this computer is meant by it. */
  readonly controlPort = freeControlPort()
  readonly port: number
  #child: ChildProcess | undefined

  private constructor(port: number) {
    this.port = port
  }

  /** It listens on 127.0.0.1. */
  static async start(): Promise<TgtdProcess> {
    const [port = 0] = await findFreePorts(1)
    const tgtd = new TgtdProcess(port)
    await tgtd.startAgain()
    return tgtd
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  async tgtadm(...args: string[]): Promise<string> {
    const { stdout } = await exec('tgtadm', ['-C', String(this.controlPort), '--lld', 'iscsi', ...args])
    return stdout
  }

  /** After {@link kill}. */
  async startAgain(): Promise<void> {
    const where = ['-C', String(this.controlPort), '--iscsi', `portal=127.0.0.1:${this.port}`]
    const child = spawn('tgtd', ['-f', '-t', '1', ...where], { stdio: 'ignore' })
    this.#child = child
    while (!(await this.#answers())) {
      if (child.exitCode !== null) {
        await this.close()
        throw new Error(`tgtd ended with ${child.exitCode}`)
      }
      await delay(10)
    }
  }

  /** It forgets its targets. tgtd ignores SIGTERM. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  async close(): Promise<void> {
    await this.kill()
    const socket = `/var/run/tgtd/socket.${this.controlPort}`
    rmSync(socket, { force: true })
    rmSync(`${socket}.lock`, { force: true })
  }

  async #answers(): Promise<boolean> {
    try {
      await this.tgtadm('--op', 'show', '--mode', 'system')
      return true
    } catch {
      return false
    }
  }
}

function freeControlPort(): number {
  for (;;) {
    const port = 1024 + Math.floor(Math.random() * 31_000)
    if (!existsSync(`/var/run/tgtd/socket.${port}`)) return port
  }
}
