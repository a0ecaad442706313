import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { userInfo } from 'node:os'
import { exec, labEnvironment } from './exec.ts'

/** Debian package -> a program or file of it that the lab uses. */
const packages = {
  'openssh-server': '/usr/sbin/sshd',
  'openssh-client': 'ssh-keygen',
  sudo: 'sudo',
  'util-linux': 'unshare',
  mount: 'losetup',
  tgt: 'tgtd',
  xfsprogs: 'mkfs.xfs',
  'btrfs-progs': 'mkfs.btrfs',
  e2fsprogs: 'mkfs.ext4',
  'ntfs-3g': 'mkntfs',
  fdisk: 'sfdisk',
  'qemu-system-x86': 'qemu-system-x86_64',
  'qemu-utils': 'qemu-nbd',
  'qemu-block-extra': '/usr/lib/x86_64-linux-gnu/qemu/block-iscsi.so',
  'libvirt-daemon-system': '/etc/libvirt/libvirtd.conf',
  'libvirt-daemon': 'libvirtd',
  'libvirt-clients': 'virsh',
  'libiscsi-bin': 'iscsi-inq',
  'libnbd-bin': 'nbdfuse',
  fuse3: 'fusermount3',
  'sg3-utils': 'sg_inq',
  psmisc: 'fuser',
  'busybox-static': 'busybox',
  cpio: 'cpio',
  kmod: 'depmod',
  extlinux: 'extlinux',
  'syslinux-common': '/usr/lib/syslinux/modules/bios/ldlinux.c32',
  binutils: 'as',
  ovmf: '/usr/share/qemu/firmware/60-edk2-x86_64.json',
  'systemd-boot-efi': '/usr/lib/systemd/boot/efi/linuxx64.efi.stub',
  mtools: 'mformat',
  debootstrap: 'debootstrap',
} as const

function mayUse(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}

const isThere = (program: string): boolean =>
  program.startsWith('/')
    ? existsSync(program)
    : labEnvironment.PATH.split(delimiter).some((folder) => mayUse(join(folder, program), constants.X_OK))

export const missingPackages = (): string[] =>
  Object.entries(packages).flatMap(([name, program]) => (isThere(program) ? [] : [name]))

/** Why a lab can't run on this computer, for a person; undefined: it can (packages may have to be installed). */
export function whyNoLab(): string | undefined {
  if (process.platform !== 'linux') return `the lab needs Linux; this is ${process.platform}`
  if (process.arch !== 'x64') return `the lab's VMs are x86-64; this is ${process.arch}`
  if (userInfo().uid !== 0) return 'the lab needs root: it mounts file systems and makes namespaces'
  const missing = missingPackages()
  if (missing.length > 0 && !isThere('apt-get'))
    return `these Debian packages are missing and there is no apt-get: ${missing.join(' ')}`
  for (const device of ['/dev/loop-control', '/dev/fuse'])
    if (!mayUse(device, constants.R_OK | constants.W_OK)) return `${device} is missing or may not be used`
  return whyNotByKernel()
}

/** A root without all rights (of a container, of a user namespace) and a kernel without the file systems show only when tried. */
function whyNotByKernel(): string | undefined {
  // user_namespaces(7): the first namespace maps all ids to themselves.
  if (!/^ *0 +0 +4294967295$/m.test(readFileSync('/proc/self/uid_map', 'utf8')))
    return 'this root is one of a user namespace only'
  const run = (command: string, ...args: string[]) => spawnSync(command, args, { env: labEnvironment })
  const namespaces = run('unshare', '--mount', '--pid', '--uts', '--fork', 'true')
  if (namespaces.error === undefined && namespaces.status !== 0)
    return `this root may not make namespaces: ${namespaces.stderr.toString().trim()}`
  for (const fileSystem of ['xfs', 'btrfs', 'overlay', 'fuse']) {
    run('modprobe', '-q', fileSystem) // where it is built in, or kmod comes only with our packages, the list decides
    const known = readFileSync('/proc/filesystems', 'utf8').split(/\s+/)
    if (!known.includes(fileSystem)) return `this kernel has no ${fileSystem}`
  }
  return undefined
}

/** Installs what is missing. Throws with the names of the packages when that can't be done. */
export async function ensureLabPackages(log: (line: string) => void): Promise<void> {
  const missing = missingPackages()
  if (missing.length === 0) return
  log(`installing Debian packages: ${missing.join(' ')}`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  const install = ['-q', '-y', '--no-install-recommends', 'install', ...missing]
  try {
    await exec('apt-get', ['-q', 'update'], { env, timeoutMs: 300_000 })
    await exec('apt-get', install, { env, timeoutMs: 1_200_000 })
  } catch (cause) {
    throw new Error(`The lab needs these Debian packages: ${missing.join(' ')}`, { cause })
  }
  const still = missingPackages()
  if (still.length > 0)
    throw new Error(`These packages are installed but lack what the lab uses: ${still.join(' ')}`)
}
