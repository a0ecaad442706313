import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { userInfo } from 'node:os'
import { exec, labEnvironment } from './exec.ts'

/** Debian package -> a program or file of it that the lab uses. */
const packages = {
  'openssh-server': '/usr/sbin/sshd',
  'openssh-client': 'ssh-keygen',
  'util-linux': 'unshare',
  mount: 'losetup',
  tgt: 'tgtd',
  xfsprogs: 'mkfs.xfs',
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
  debootstrap: 'debootstrap',
} as const

function isThere(program: string): boolean {
  if (program.startsWith('/')) return existsSync(program)
  return labEnvironment.PATH.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

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
    if (!existsSync(device)) return `${device} is missing`
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
