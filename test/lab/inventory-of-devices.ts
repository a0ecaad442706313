import { tmpdir } from 'node:os'
import type { ExecOptions, ExecResult } from './exec.ts'
import type { Lab, LabDevice } from './lab.ts'
import { loopsUnder } from './leftovers.ts'

/**
 * What there is on the array and the host (and on the guest if it runs), as name -> description. Names and
 * descriptions hold nothing that differs between two runs of the same thing: no pids, tids or loop device numbers.
 */
export type DeviceInventory = ReadonlyMap<string, string>

type Entry = readonly [name: string, description: string]
type Run = (script: string, options?: ExecOptions) => Promise<ExecResult>

/** Single quotes for a path that checkLabDir let through. */
const quoted = (path: string): string => `'${path}'`
const linesOf = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '')

/** The blocks of `tgtadm --op show --mode target`: target, its LUNs, who may log in, who is logged in. */
function parseTargets(text: string): Entry[] {
  return text.split(/^(?=Target \d+: )/m).flatMap((block): Entry[] => {
    const target = /^Target \d+: (.+)$/m.exec(block)?.[1]
    if (target === undefined) return []
    const [, access = ''] = block.split(/^ {4}ACL information:$/m)
    const allowed = linesOf(access).map((line) => line.trim())
    const sessions = [...block.matchAll(/^ {12}Initiator: (\S+)/gm)].map((match) => match[1] ?? '')
    const luns = block
      .split(/^ {8}LUN: /m)
      .slice(1)
      .flatMap((lun): Entry[] => {
        const number = /^\d+/.exec(lun)?.[0] ?? '?'
        const field = (name: string) => new RegExp(`^ +${name}: *(.*)$`, 'm').exec(lun)?.[1]?.trim() ?? ''
        if (field('Type') === 'controller') return []
        const description = `${field('Backing store path')}, ${field('Size')}, id ${field('SCSI ID')}, serial ${field('SCSI SN')}`
        return [[`LUN ${number} of target ${target}`, description]]
      })
    const who = (names: readonly string[]) => (names.length === 0 ? 'nobody' : names.toSorted().join(' '))
    return [[`target ${target}`, `open to ${who(allowed)}, sessions of ${who(sessions)}`], ...luns]
  })
}

/** Files and folders below a folder: type and size; with `hash` the SHA-256 of every file. */
async function listFiles(run: Run, dir: string, hash: boolean): Promise<Entry[]> {
  const there = `[ -d ${quoted(dir)} ] || exit 0; cd ${quoted(dir)}`
  const { stdout } = await run(`${there}; find . -mindepth 1 -xdev -printf '%y %s %P\\n'`)
  const kinds: Record<string, string> = { d: 'folder', l: 'link', s: 'socket', p: 'pipe' }
  const found = linesOf(stdout).map((line): Entry => {
    const [, type = '', size = '', path = ''] = /^(\S) (\d+) (.*)$/.exec(line) ?? []
    return [`${dir}/${path}`, kinds[type] ?? `file of ${size} bytes`]
  })
  if (!hash) return found
  const sums = await run(`${there}; find . -xdev -type f -exec sha256sum {} +`, { timeoutMs: 600_000 })
  const sumOf = new Map<string, string>(
    linesOf(sums.stdout).map((line) => [`${dir}/${line.slice(68)}`, line.slice(0, 64)]),
  )
  return found.map(([path, text]) => [path, sumOf.has(path) ? `${text}, sha256 ${sumOf.get(path)}` : text])
}

/** Daemons of the machine itself, sessions of whoever looks at it, and libvirtd asking QEMU what it can do. */
const usualProcess =
  /^(\/bin\/sh \S*\/machine\.sh|sleep infinity|sshd|\/usr\/sbin\/sshd|libvirtd|tgtd|\S*qemu-system-\S+ -S .*-machine none)\b/

/** To be asked before anything else: other questions are processes too. */
async function listProcesses(run: Run): Promise<Entry[]> {
  const { stdout } = await run('echo "$$"; ps -eo pid=,ppid=,args=')
  const [self = '', ...rest] = linesOf(stdout)
  return rest.flatMap((line): Entry[] => {
    const [, pid, parent, command = ''] = /^ *(\d+) +(\d+) (.*)$/.exec(line) ?? []
    const ours = pid === self.trim() || parent === self.trim()
    return ours || usualProcess.test(command) || command.endsWith('<defunct>')
      ? []
      : [[`process ${command}`, 'running']]
  })
}

/** A machine that starts sees for good what other tests have mounted below their own temporary folders just then. */
async function listMounts(run: Run, lab: Lab): Promise<Entry[]> {
  const { stdout } = await run('cat /proc/self/mountinfo')
  return linesOf(stdout).flatMap((line): Entry[] => {
    const [before = '', after = ''] = line.split(' - ')
    const [type = '', source = ''] = after.split(' ')
    const path = before.split(' ')[4] ?? ''
    if (path.startsWith(`${tmpdir()}/gantry-`) && !path.startsWith(`${lab.dir}/`)) return []
    return [[`mount ${path}`, `${type} of ${source.replace(/^\/dev\/loop\d+/, '/dev/loopN')}`]]
  })
}

/** Two questions for all of them: one for each would make up most of the time of an observation. */
async function listDomains(run: Run): Promise<Entry[]> {
  const virsh = 'virsh -q -c qemu:///system'
  const { stdout } = await run(`${virsh} list --all --uuid --name; ${virsh} list --all`)
  const uuids = new Map<string, string>()
  return linesOf(stdout).flatMap((line): Entry[] => {
    const [, uuid, named] = /^([0-9a-f-]{36}) +(\S+) *$/.exec(line) ?? []
    if (uuid !== undefined && named !== undefined) uuids.set(named, uuid)
    const [, name, state] = /^ *(?:-|\d+) +(\S+) +(.*)$/.exec(line) ?? []
    return name === undefined ? [] : [[`VM ${name} ${uuids.get(name) ?? '?'}`, state ?? '']]
  })
}

/** That they are there; they grow while their VM runs. */
async function listConsoleLogs(run: Run): Promise<Entry[]> {
  const { stdout } = await run('ls /var/log/libvirt/qemu')
  return linesOf(stdout)
    .filter((name) => name.startsWith('gantry-'))
    .map((name) => [`console log ${name}`, 'there'])
}

async function observeArray(lab: Lab, hash: boolean): Promise<Entry[]> {
  const run: Run = (script, options) => lab.array.machine.run(script, options)
  const processes = await listProcesses(run)
  const targets = lab.array.showTargets().then(parseTargets, (): Entry[] => [['tgtd', 'does not answer']])
  const parts = [
    targets,
    ...Object.values(lab.state.array.volumes).map((dir) => listFiles(run, dir, hash)),
    listMounts(run, lab),
  ]
  return [...processes, ...(await Promise.all(parts)).flat()]
}

async function observeHost(lab: Lab): Promise<Entry[]> {
  const run: Run = (script, options) => lab.host.machine.run(script, options)
  const processes = await listProcesses(run)
  const loops = loopsUnder(lab.host.machine.root).map(({ file }): Entry => [
    `loop device over ${file}`,
    'in use',
  ])
  const files = listFiles(run, lab.state.host.stateDir, false)
  const parts = [files, listMounts(run, lab), listDomains(run), listConsoleLogs(run)]
  return [...processes, ...loops, ...(await Promise.all(parts)).flat()]
}

async function observeGuest(lab: Lab): Promise<Entry[]> {
  if (!lab.guest.isUp()) return []
  const run: Run = (script, options) => lab.guest.run(script, options)
  const sessions = run('iscsiadm -m session', { expectExit: [0, 21] }).then(({ stdout }) =>
    linesOf(stdout).map((line): Entry => [`iSCSI session ${line.replace(/\[\d+\] /, '')}`, 'logged in']),
  )
  const records = run('iscsiadm -m node', { expectExit: [0, 21] }).then(({ stdout }) =>
    linesOf(stdout).map((line): Entry => [`iSCSI node record ${line}`, 'there']),
  )
  const files = listFiles(run, lab.state.guest.stateDir, false)
  return (await Promise.all([sessions, records, files, listMounts(run, lab), listDomains(run)])).flat()
}

export interface ObserveOptions {
  /** Also the content of every file on the volumes. */
  readonly hash?: boolean
  /** Default: all. The guest answers slowly, so what does not touch it may leave it out. */
  readonly only?: readonly LabDevice[]
}

/** Looks at everything, past the machines' SSH servers. */
export async function observeDevices(lab: Lab, options: ObserveOptions = {}): Promise<DeviceInventory> {
  const { hash = false, only = ['array', 'host', 'guest'] } = options
  const look: Record<LabDevice, () => Promise<Entry[]>> = {
    array: () => observeArray(lab, hash),
    host: () => observeHost(lab),
    guest: () => observeGuest(lab),
  }
  const parts = only.map((device): [LabDevice, Promise<Entry[]>] => [device, look[device]()])
  const inventory = new Map<string, string>()
  for (const [device, entries] of parts)
    for (const [name, description] of await entries) {
      const key = `${device}: ${name}`
      const before = inventory.get(key)
      inventory.set(key, before === undefined ? description : `${before}; ${description}`)
    }
  return inventory
}

/** The differences in words, one each; empty: the same. */
export function diffDevices(before: DeviceInventory, after: DeviceInventory): string[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].toSorted()
  return names.flatMap((name) => {
    const was = before.get(name)
    const is = after.get(name)
    if (was === is) return []
    if (was === undefined) return [`${name} is new: ${is}`]
    return is === undefined ? [`${name} is gone: ${was}`] : [`${name} was: ${was}; is: ${is}`]
  })
}

/**
 * The differences that stay: a process that was ended or a loop device that was detached may be seen for a moment
 * longer. Asks until there are none, at most for `patienceMs`.
 */
export async function lastingDifferences(
  lab: Lab,
  before: DeviceInventory,
  options: ObserveOptions & { readonly patienceMs?: number } = {},
): Promise<string[]> {
  const deadline = performance.now() + (options.patienceMs ?? 10_000)
  for (;;) {
    const differences = diffDevices(before, await observeDevices(lab, options))
    if (differences.length === 0 || performance.now() > deadline) return differences
  }
}
