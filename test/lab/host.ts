import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { waitFor } from './exec.ts'
import { Machine } from './machine.ts'
import { lastLines } from './processes.ts'
import type { LabState } from './state.ts'

const virsh = 'virsh -q -c qemu:///system'

/** The hypervisor host: SSH and a libvirt of its own. It does not see the array's volumes. */
export class LabHost {
  readonly machine: Machine
  readonly #state: LabState

  constructor(state: LabState) {
    this.#state = state
    this.machine = new Machine('host', state.dir)
  }

  async start(): Promise<void> {
    const { sshPort, stateDir, iqn } = this.#state.host
    mkdirSync(stateDir, { recursive: true })
    writeFileSync(join(this.machine.root, 'iqn'), `${iqn}\n`)
    await this.machine.start(sshPort)
    const logFile = join(this.machine.logDir, 'libvirtd.out')
    await this.machine.runFile('start-libvirtd.sh', [logFile])
    await waitFor(
      'libvirtd to answer',
      async () => (await this.machine.run(`${virsh} version`, { expectExit: [0, 1] })).exitCode === 0,
      60_000,
      () => lastLines(logFile),
    )
  }

  /** Registers the VM of a template folder if no VM of that name is there. */
  async defineTemplate(template: { readonly domain: string; readonly folder: string }): Promise<void> {
    const present = `${virsh} dominfo ${template.domain} > /dev/null 2>&1`
    await this.machine.run(`${present} || ${virsh} define ${template.folder}/vm.xml`)
  }
}
