import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Lab } from '../lab/lab.ts'

const script = join(import.meta.dirname, 'plain.sh')

/** The peer: `plain.sh` on the lab, over one warm ssh connection to each device. */
export class PlainCommands {
  readonly #lab: Lab
  readonly #work: string
  readonly #domain: string
  #tid = 1000

  constructor(lab: Lab) {
    this.#lab = lab
    this.#work = join(lab.dir, 'host', 'plain')
    this.#domain = join(lab.dir, 'plain-domain.xml')
    mkdirSync(this.#work, { recursive: true })
    writeFileSync(this.#domain, domain(this.#work))
  }

  /** Opens the connections. */
  async warmUp(): Promise<void> {
    for (const device of ['array', 'host'] as const) await run('sh', ['-c', `${this.#ssh(device)} true`])
  }

  async close(): Promise<void> {
    for (const device of ['array', 'host'] as const)
      await run('sh', ['-c', this.#ssh(device).replace('ssh ', 'ssh -O exit ')])
  }

  /** Returns the tid, which `remove` wants. */
  async deploy(name: string, container: string): Promise<number> {
    const tid = this.#tid++
    await this.#run(['deploy', name, String(tid)], { CONTAINER: container })
    return tid
  }

  /** `copyMs`: copying and flushing alone. */
  async fullCopy(name: string, source: string, sizeBytes: number): Promise<{ tid: number; copyMs: number }> {
    const tid = this.#tid++
    const output = await this.#run(['copy', name, String(tid), String(sizeBytes)], { SOURCE: source })
    return { tid, copyMs: Number(output.trim().split('\n')[0]) }
  }

  async remove(name: string, tid: number): Promise<void> {
    await this.#run(['remove', name, String(tid)], {})
  }

  #run(args: readonly string[], env: Record<string, string>): Promise<string> {
    const { array, host } = this.#lab.state
    return run('sh', [script, ...args], {
      ARRAY: this.#ssh('array'),
      HOST: this.#ssh('host'),
      VOLUME: array.volumes.vol1,
      CONTROL: String(array.tgtControlPort),
      PORTAL: array.portal,
      INITIATOR: host.iqn,
      WORK: this.#work,
      DOMAIN: this.#domain,
      CONTAINER: '',
      SOURCE: '',
      ...env,
    })
  }

  #ssh(device: 'array' | 'host'): string {
    const { ssh } = this.#lab.state
    const { sshHost, sshPort } = this.#lab.state[device]
    const options = [
      `ControlPath=${join(this.#lab.dir, `plain-${device}`)}`,
      'ControlMaster=auto',
      'ControlPersist=600',
      `UserKnownHostsFile=${ssh.knownHostsFile}`,
      'BatchMode=yes',
      'LogLevel=ERROR',
    ]
    const flags = options.map((option) => `-o ${option}`).join(' ')
    return `ssh -F none -i ${ssh.identityFile} ${flags} -p ${sshPort} root@${sshHost}`
  }
}

function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    // stderr to a file handle of ours: the ssh master that stays would keep a pipe open
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.on('error', reject)
    child.on('exit', (code) => {
      if (code === 0) resolve(output)
      else reject(new Error(`${args.join(' ')} ended with ${code}`))
    })
  })
}

const domain = (work: string): string => `<domain type='qemu'>
  <name>NAME</name>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' error_policy='stop'/>
      <source file='${work}/NAME/mnt/disk0.raw'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='user'><model type='virtio'/></interface>
    <serial type='pty'><target port='0'/></serial>
  </devices>
</domain>
`
