import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { libvirtHostConfigSchema } from '#shared/domain/compute.ts'
import type { LibvirtHostConfig } from '#shared/domain/compute.ts'
import type { SshConnection } from '#shared/domain/connection.ts'
import { linuxStorageConfigSchema } from '#shared/domain/storage.ts'
import type { LinuxStorageConfig } from '#shared/domain/storage.ts'
import { LabArray, tgtControlPort } from './array.ts'
import type { ArrayOptions } from './array.ts'
import { exec } from './exec.ts'
import { LabGuest } from './guest/guest.ts'
import { LabHost } from './host.ts'
import { leftoversOf, loopsUnder, mountsUnder } from './leftovers.ts'
import { Machine } from './machine.ts'
import { ensureLabPackages, whyNoLab } from './packages.ts'
import { findFreePorts } from './ports.ts'
import { endProcess, findProcess, processesOfLab, recordProcess } from './processes.ts'
import { prepareKeys } from './ssh.ts'
import { checkLabDir, defaultLabDir, readLabState, writeLabState } from './state.ts'
import type { LabState } from './state.ts'
import { prepareTemplates } from './template/template.ts'
import type { TemplateOptions } from './template/template.ts'

export type LabDevice = 'array' | 'host' | 'guest'

export interface LabOptions extends ArrayOptions {
  /** Default: gantry-lab-<uid> in the folder for temporary files. */
  readonly dir?: string
  readonly template?: TemplateOptions
  readonly withGuest?: boolean
  readonly log?: (line: string) => void
}

/** A lab that is up: an array, a host and, when asked for, a guest as a second host. */
export class Lab {
  readonly state: LabState
  readonly array: LabArray
  readonly host: LabHost
  readonly guest: LabGuest

  constructor(state: LabState) {
    this.state = state
    this.array = new LabArray(state)
    this.host = new LabHost(state)
    this.guest = new LabGuest(state)
  }

  get dir(): string {
    return this.state.dir
  }

  /** `user`: default root; `host.userWithoutRights` of the state logs in and may do nothing (array and host only). */
  connection(device: LabDevice, user = 'root'): SshConnection {
    const { ssh } = this.state
    const { sshHost, sshPort } = this.state[device]
    return {
      host: sshHost,
      port: sshPort,
      user,
      identityFiles: [ssh.identityFile],
      agent: false,
      configFile: null,
      knownHostsFiles: [ssh.knownHostsFile],
    }
  }

  arrayConfig(settings: Partial<LinuxStorageConfig['settings']> = {}): LinuxStorageConfig {
    const { volumes, portal, tgtControlPort: control } = this.state.array
    return linuxStorageConfigSchema.parse({
      name: 'lab-array',
      driver: 'linux-storage',
      connection: this.connection('array'),
      settings: { volumes, portal, tgtControlPort: control, ...settings },
    })
  }

  hostConfig(settings: Partial<LibvirtHostConfig['settings']> = {}): LibvirtHostConfig {
    const { stateDir, iqn } = this.state.host
    return libvirtHostConfigSchema.parse({
      name: 'lab-host',
      driver: 'libvirt',
      connection: this.connection('host'),
      settings: { stateDir, initiatorName: iqn, ...settings },
    })
  }

  /** Bring it up with {@link ensureGuest} first. Its initiator name is its own, as on a real host. */
  guestConfig(settings: Partial<LibvirtHostConfig['settings']> = {}): LibvirtHostConfig {
    const { stateDir, portalAsSeen } = this.state.guest
    return libvirtHostConfigSchema.parse({
      name: 'lab-guest',
      driver: 'libvirt',
      connection: this.connection('guest'),
      settings: { stateDir, portals: { 'lab-array': portalAsSeen }, ...settings },
    })
  }

  /** Boots the guest if it does not run. The first time on a computer this makes its disk: minutes. */
  async ensureGuest(): Promise<void> {
    await this.guest.start()
  }

  killArrayDaemon(): Promise<void> {
    return this.array.killDaemon()
  }

  startArrayDaemon(): Promise<void> {
    return this.array.startDaemon()
  }
}

/** Marks a folder as a lab's, so that nothing else is ever removed. */
const markOf = (dir: string): string => join(dir, '.gantry-lab')

function refuseWhileComingUp(dir: string): void {
  const other = findProcess(join(dir, 'run'), 'up')
  if (other !== undefined && other.pid !== process.pid)
    throw new Error(`Process ${other.pid} is bringing up the lab in ${dir}`)
}

/** The lab in a folder, if it was completely brought up and its machines run. */
export function findLab(dir: string): Lab | undefined {
  const state = readLabState(checkLabDir(dir))
  if (state === undefined) return undefined
  const lab = new Lab(state)
  return lab.array.machine.isUp() && lab.host.machine.isUp() ? lab : undefined
}

/**
 * Brings up a lab, or finds the one that is up in this folder. What an interrupted earlier try left is taken down
 * first. Throws when the computer can't run one ({@link whyNoLab}), and when the folder holds anything else.
 */
export async function bringUpLab(options: LabOptions = {}): Promise<Lab> {
  const { log = () => undefined } = options
  const reason = whyNoLab()
  if (reason !== undefined) throw new Error(`No lab on this computer: ${reason}`)
  const dir = checkLabDir(options.dir ?? defaultLabDir())
  refuseWhileComingUp(dir)
  let lab = findLab(dir)
  if (lab === undefined) {
    if (existsSync(dir) && readdirSync(dir).length > 0) await takeDownLab(dir)
    await ensureLabPackages(log)
    lab = await build(dir, options)
  }
  if (options.withGuest === true) await lab.ensureGuest()
  return lab
}

async function build(dir: string, options: LabOptions): Promise<Lab> {
  const runDir = join(dir, 'run')
  mkdirSync(dir, { recursive: true, mode: 0o755 })
  // The mark comes first: whatever is in the folder from now on may be removed.
  writeFileSync(markOf(dir), 'A lab of Gantry; take it down with: npm run lab:down -- --dir <this folder>\n')
  mkdirSync(runDir, { mode: 0o755 })
  recordProcess(runDir, 'up', process.pid)
  try {
    return await buildMachines(dir, options)
  } finally {
    rmSync(join(runDir, 'up.pid'), { force: true })
  }
}

async function buildMachines(dir: string, options: LabOptions): Promise<Lab> {
  const [arrayPort = 0, hostPort = 0, guestPort = 0, portalPort = 0] = await findFreePorts(4)
  const keys = await prepareKeys(dir, { array: arrayPort, host: hostPort, guest: guestPort })
  const templates = await prepareTemplates(dir, options.template)
  const state: LabState = {
    version: 1,
    dir,
    ssh: { identityFile: keys.identityFile, knownHostsFile: keys.knownHostsFile },
    array: {
      sshHost: '127.0.0.1',
      sshPort: arrayPort,
      tgtControlPort,
      portal: `127.0.0.1:${portalPort}`,
      volumes: {
        vol1: join(dir, 'array', 'vol1'),
        small: join(dir, 'array', 'small'),
        btrfs: join(dir, 'array', 'btrfs'),
      },
    },
    host: {
      sshHost: '127.0.0.1',
      sshPort: hostPort,
      stateDir: join(dir, 'host', 'state'),
      iqn: 'iqn.2026-11.gantry.lab:host',
      userWithoutRights: 'lab-visitor',
      userWithSudo: 'lab-operator',
    },
    guest: {
      sshHost: '127.0.0.1',
      sshPort: guestPort,
      stateDir: '/var/lib/gantry',
      iqn: 'iqn.2026-11.gantry.lab:guest',
      portalAsSeen: `10.0.2.2:${portalPort}`,
    },
    ...templates,
  }
  const lab = new Lab(state)
  await Promise.all([lab.array.start(options), lab.host.start()])
  await lab.host.defineTemplate(state.template)
  await lab.host.defineTemplate(state.tiny)
  writeLabState(state)
  return lab
}

/**
 * Takes a lab down, also one that was brought up in part or whose `up` was killed. Nothing there: succeeds. Refuses a
 * folder that is not a lab's. Verifies that nothing is left and otherwise throws with what is.
 */
export async function takeDownLab(dirOption: string = defaultLabDir()): Promise<void> {
  const dir = checkLabDir(dirOption)
  if (!existsSync(dir) || readdirSync(dir).length === 0) {
    if (existsSync(dir)) await exec('rmdir', ['--', dir])
    return
  }
  if (!existsSync(markOf(dir)) || statSync(dir).uid !== process.getuid?.())
    throw new Error(`${dir} is not a lab's folder (no .gantry-lab, or another owner); nothing was removed`)
  refuseWhileComingUp(dir)
  const runDir = join(dir, 'run')
  const guest = findProcess(runDir, 'guest')
  if (guest !== undefined) await endProcess(guest)
  // What goes wrong here shows in what is left; it is told then.
  const troubles: unknown[] = []
  const note = (error: unknown) => void troubles.push(error)
  // The host before the array: what it has attached is let go of while the array still answers.
  await new Machine('host', dir).stop().catch(note)
  await new Machine('array', dir).stop().catch(note)
  for (const process of processesOfLab(dir)) await endProcess(process)
  for (const point of mountsUnder(dir).toReversed()) await exec('umount', ['-l', '--', point]).catch(note)
  for (const { device } of loopsUnder(dir)) await exec('losetup', ['-d', device]).catch(note)
  await exec('rm', ['-rf', '--one-file-system', '--', dir]).catch(note)
  const left = leftoversOf(dir)
  if (left.length > 0)
    throw new AggregateError(troubles, `The lab in ${dir} is down, but this is left:\n${left.join('\n')}`)
}
