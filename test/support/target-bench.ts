import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type {
  IscsiTarget,
  IscsiTargetOptions,
  TargetLunRequest,
} from '#main/transports/iscsi-target/contract.ts'
import { startIscsiTarget } from '#main/transports/iscsi-target/target.ts'
import { labInitiator, RawInitiator } from './raw-initiator.ts'
import type { RawOptions } from './raw-initiator.ts'

export const iqnOf = (name: string): string => `iqn.2026-11.gantry.array:${name}`

/** A target on a free port with a folder of its own. */
export class TargetBench {
  readonly folder = mkdtempSync(join(tmpdir(), 'gantry-target-'))
  target!: IscsiTarget
  readonly troubles: string[] = []
  readonly #sessions: RawInitiator[] = []

  static async start(options: Partial<IscsiTargetOptions> = {}): Promise<TargetBench> {
    const bench = new TargetBench()
    await bench.restart(options)
    return bench
  }

  async restart(options: Partial<IscsiTargetOptions> = {}): Promise<void> {
    await this.target?.close()
    this.target = await startIscsiTarget({
      portal: { host: '127.0.0.1', port: 0 },
      stateFolder: join(this.folder, 'state'),
      onTrouble: ({ target, text }) => this.troubles.push(`${target}: ${text}`),
      ...options,
    })
  }

  get port(): number {
    return this.target.portal.port
  }

  path(name: string): string {
    return join(this.folder, `${name}.lun`)
  }

  request(name: string, changes: Partial<TargetLunRequest> = {}): TargetLunRequest {
    const serial = Buffer.from(name).toString('hex').padEnd(24, '0').slice(0, 24)
    return {
      identity: { name, target: iqnOf(name), lun: 1, serial, naa: `6026761${serial}0` },
      path: this.path(name),
      sizeBytes: 16 * 1024 * 1024,
      readOnly: false,
      vendor: 'GANTRY',
      product: 'CONTAINER',
      initiators: [labInitiator],
      ...changes,
    }
  }

  /** Makes a sparse file and serves it. */
  async addLun(name: string, changes: Partial<TargetLunRequest> = {}): Promise<TargetLunRequest> {
    const request = this.request(name, changes)
    writeFileSync(request.path, '')
    truncateSync(request.path, request.sizeBytes)
    await this.target.addLun(request)
    return request
  }

  /** Logged in, and past the news of the login. */
  async login(name: string, options: Partial<RawOptions> = {}): Promise<RawInitiator> {
    const raw = await RawInitiator.login({ port: this.port, target: iqnOf(name), ...options })
    this.#sessions.push(raw)
    await raw.settle()
    return raw
  }

  async discover(options: Partial<RawOptions> = {}): Promise<string> {
    const raw = await RawInitiator.login({ port: this.port, ...options })
    this.#sessions.push(raw)
    return raw.sendTargets()
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) session.close()
    await this.target.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
