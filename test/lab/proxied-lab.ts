import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GantryCommand } from './gantry-command.ts'
import { Lab } from './lab.ts'
import { CuttingProxy } from './ssh/proxy.ts'

/** The lab as seen by a console whose way to both machines leads through relays that can cut or count. */
export class ProxiedLab {
  /** Its addresses are those of the relays. */
  readonly lab: Lab
  readonly gantry: GantryCommand
  readonly #array: CuttingProxy
  readonly #host: CuttingProxy
  readonly #dir: string

  private constructor(lab: Lab, array: CuttingProxy, host: CuttingProxy, dir: string) {
    this.lab = lab
    this.gantry = new GantryCommand()
    this.#array = array
    this.#host = host
    this.#dir = dir
  }

  /** With the array and the host in the inventory of a new console. */
  static async start(direct: Lab): Promise<ProxiedLab> {
    const { state } = direct
    const array = await CuttingProxy.start(state.array.sshPort)
    const host = await CuttingProxy.start(state.host.sshPort)
    const dir = mkdtempSync(join(tmpdir(), 'gantry-proxied-'))
    const knownHostsFile = join(dir, 'known_hosts')
    const keys = readFileSync(state.ssh.knownHostsFile, 'utf8')
      .replaceAll(`]:${state.array.sshPort} `, `]:${array.port} `)
      .replaceAll(`]:${state.host.sshPort} `, `]:${host.port} `)
    writeFileSync(knownHostsFile, keys)
    const lab = new Lab({
      ...state,
      ssh: { ...state.ssh, knownHostsFile },
      array: { ...state.array, sshPort: array.port },
      host: { ...state.host, sshPort: host.port },
    })
    const proxied = new ProxiedLab(lab, array, host, dir)
    // with one channel nothing but the script itself is under way when a relay cuts
    await proxied.gantry.addLab(lab, ['--ssh-channels', '1'])
    return proxied
  }

  /** How often a console has connected to one of the machines. */
  get connections(): number {
    return this.#array.accepted + this.#host.accepted
  }

  /** The next script that is sent to this machine arrives; its answer and the connection do not survive. */
  cutNextScript(machine: 'array' | 'host'): void {
    const proxy = machine === 'array' ? this.#array : this.#host
    // more than what opens a channel or keeps a connection alive, less than the shortest script
    proxy.cutAfterRequest(300)
  }

  async stop(): Promise<void> {
    this.gantry.dispose()
    await Promise.all([this.#array.stop(), this.#host.stop()])
    rmSync(this.#dir, { recursive: true, force: true })
  }
}
