import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { sh, type ShellScript } from '#main/transports/shell/script.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import { createNamespaceShell } from './namespace-shell.ts'

export interface PrivateLibvirtd {
  /** A directory that exists inside and outside under the same path. */
  readonly directory: string
  readonly shell: Shell
  stopDaemon(): Promise<void>
  startDaemon(): Promise<void>
  /** Ends everything in it, VMs too, and removes the directory. */
  close(): Promise<void>
}

/** Directories that are the daemon's own; the machine's stay untouched behind them. */
const owned = {
  etc: '/etc/libvirt',
  lib: '/var/lib/libvirt',
  cache: '/var/cache/libvirt',
  log: '/var/log/libvirt',
  run: '/run/libvirt',
}

/** Without other users, cgroups, security drivers and helper daemons: what a plain root shell can run anywhere. */
const qemuConf = `
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
`
const libvirtdConf = (directory: string): string => `
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
auth_unix_rw = "none"
log_outputs = "2:file:${join(directory, 'libvirtd.log')}"
host_uuid = "${crypto.randomUUID()}"
`

/** Process 1 of the namespace: keeps it alive and reaps what is orphaned in it. */
const initScript = (directory: string): string => `set -eu
mount --make-rprivate /
${Object.entries(owned)
  .map(([name, path]) => sh`mkdir -p ${path}; mount --bind ${join(directory, name)} ${path}`)
  .join('\n')}
# A /dev without kvm: a nested machine may offer one that cannot run guests; emulation is the same everywhere.
dev=${join(directory, 'dev')}
mkdir "$dev"; mount -t tmpfs tmpfs "$dev"; mkdir "$dev/pts" "$dev/shm"
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/fd /dev/stdin /dev/stdout /dev/stderr "$dev"
ln -s pts/ptmx "$dev/ptmx"
mount --rbind /dev/pts "$dev/pts"; mount --rbind /dev/shm "$dev/shm"; mount --move "$dev" /dev
echo ready
while :; do sleep 3600 & wait $!; done
`

/** A libvirtd with QEMU in mount and process namespaces of its own: nothing of it is seen by the rest of the machine. */
export async function startPrivateLibvirtd(): Promise<PrivateLibvirtd> {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-libvirtd-'))
  for (const name of [...Object.keys(owned), 'log/qemu', 'images'])
    await mkdir(join(directory, name), { recursive: true })
  await writeFile(join(directory, 'etc/qemu.conf'), qemuConf)
  await writeFile(join(directory, 'etc/libvirtd.conf'), libvirtdConf(directory))

  const namespace = spawn(
    'unshare',
    ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '/bin/sh', '-c', initScript(directory)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await once(createInterface(namespace.stdout), 'line')
  const shell = createNamespaceShell('host lab', await firstProcessOf(namespace))
  const { signal } = new AbortController()
  const run = (script: ShellScript) => shell.run(script, { signal })

  const lab: PrivateLibvirtd = {
    directory,
    shell,
    async startDaemon() {
      await run(sh`libvirtd -d -p ${join(directory, 'libvirtd.pid')} >/dev/null 2>&1 </dev/null
        i=0; until virsh -q -c qemu:///system version >/dev/null 2>&1; do i=$((i + 1)); [ "$i" -lt 100 ]; sleep 0.1; done`)
    },
    async stopDaemon() {
      await run(sh`set -eu; pid=$(cat ${join(directory, 'libvirtd.pid')}); kill "$pid"
        i=0; while kill -0 "$pid" 2>/dev/null; do i=$((i + 1)); [ "$i" -lt 100 ]; sleep 0.1; done`)
    },
    async close() {
      const ended = once(namespace, 'close')
      namespace.kill('SIGKILL')
      await ended
      await rm(directory, { recursive: true, force: true })
    },
  }
  try {
    await lab.startDaemon()
  } catch (error) {
    await lab.close()
    throw error
  }
  return lab
}

/** Process 1 of the namespace as seen from outside. */
async function firstProcessOf(parent: ChildProcess): Promise<number> {
  const children = await readFile(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8')
  const pid = Number(children.trim().split(' ')[0])
  if (!(pid > 0)) throw new Error('the namespace has no first process')
  return pid
}
