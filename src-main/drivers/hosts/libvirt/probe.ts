import type { AttachMethod, LibvirtHostConfig } from '#shared/domain/compute.ts'
import type { Check, FileSystemType } from '#shared/domain/storage.ts'
import { lines, sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import { stdoutText } from '#main/transports/shell/shell.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import type { HostDriver, HostProbe } from '../contract.ts'
import { kernelInitiator } from './attach-open-iscsi.ts'

const commonTools = ['blkid', 'blockdev', 'dd', 'findmnt', 'flock', 'partx', 'sfdisk', 'wipefs', 'xargs']
const userSpaceTools = ['iscsi-inq', 'losetup', 'nbdfuse', 'qemu-nbd']
const tools = [
  ...commonTools,
  ...userSpaceTools,
  'fuser',
  'iscsiadm',
  'mkfs.ext4',
  'mkfs.xfs',
  'mkntfs',
  'ntfs-3g',
  'ntfslabel',
  'qemu-img',
  'virsh',
]

/*
 * Asks everything and changes nothing but loading the iSCSI module, which attaching would load as well. One line for
 * each answer, KEY=VALUE; a question that fails gives no line or an empty value.
 */
const probeScript = (config: LibvirtHostConfig): ShellScript =>
  lines(
    kernelInitiator,
    sh`say() { printf '%s=%s\\n' "$1" "$(printf %s "$2" | tr '\\n' ' ')"; }
say name "$(hostname)"
say user "$(id -un)"
say uid "$(id -u)"
say system "$(. /etc/os-release 2>/dev/null; printf %s "\${PRETTY_NAME:-$(uname -sr)}")"
say initiator "$(sed -n 's/^InitiatorName=//p' /etc/iscsi/initiatorname.iscsi 2>/dev/null)"
if kernel_initiator; then say method open-iscsi; else say method user-space; fi
! grep -qs ISCSIADM_ABSTRACT_NAMESPACE /proc/net/unix || say iscsid running
for tool in ${tools}; do ! command -v "$tool" >/dev/null || say "tool:$tool" yes; done
for type in ext4 xfs fuse loop; do
  if grep -qsw "$type" /proc/filesystems || modprobe -qn "$type" 2>/dev/null; then say "kernel:$type" yes; fi
done
[ ! -e /dev/loop-control ] || say kernel:loop yes
[ ! -e /dev/fuse ] || say kernel:fuse yes
directory=${config.settings.stateDir}
while [ ! -e "$directory" ]; do directory=$(dirname "$directory"); done
[ ! -d "$directory" ] || [ ! -w "$directory" ] || say stateDir writable
if words=$(timeout 20 virsh -q -c ${config.settings.uri} version 2>&1); then
  say library "$(printf %s "$words" | sed -n 's/^Using library: //p')"
  say hypervisor "$(printf %s "$words" | sed -n 's/^Running hypervisor: //p')"
else
  say virshWords "$words"
fi
exit 0`,
  )

/** Whether a host is fit for its part, and what to do where it is not. */
export function createHostProbe(config: LibvirtHostConfig, shell: Shell): Pick<HostDriver, 'probe'> {
  return {
    async probe(signal) {
      const result = await shell.run(probeScript(config), { signal, timeoutMs: 60_000 })
      return readProbe(config, stdoutText(result))
    },
  }
}

/** What the script's answers mean; pure. */
export function readProbe(config: LibvirtHostConfig, text: string): HostProbe {
  const answers = new Map<string, string>()
  for (const line of text.split('\n')) {
    const at = line.indexOf('=')
    if (at > 0) answers.set(line.slice(0, at), line.slice(at + 1).trim())
  }
  const answer = (key: string): string => answers.get(key) ?? ''
  const missing = (names: readonly string[]): string[] =>
    names.filter((name) => answer(`tool:${name}`) === '')

  const hypervisor = [answer('hypervisor'), answer('library') && `(${answer('library')})`]
  const attachMethod: AttachMethod = answer('method') === 'open-iscsi' ? 'open-iscsi' : 'user-space'
  const initiatorName = config.settings.initiatorName ?? answer('initiator')
  const needs: Record<FileSystemType, { readonly tools: readonly string[]; readonly kernel: string }> = {
    ext4: { tools: ['mkfs.ext4'], kernel: 'ext4' },
    xfs: { tools: ['mkfs.xfs'], kernel: 'xfs' },
    ntfs: { tools: ['mkntfs', 'ntfs-3g', 'ntfslabel'], kernel: 'fuse' },
  }
  const fileSystems = (Object.keys(needs) as FileSystemType[]).filter(
    (type) => missing(needs[type].tools).length === 0 && answer(`kernel:${needs[type].kernel}`) !== '',
  )

  function check(name: string, ok: boolean, detail: string, advice: string): Check {
    return ok ? { name, ok, detail } : { name, ok, detail, advice }
  }
  function toolCheck(name: string, names: readonly string[], advice: string): Check {
    const absent = missing(names)
    return check(
      name,
      absent.length === 0,
      absent.length === 0 ? 'all there' : `missing: ${absent.join(', ')}`,
      advice,
    )
  }

  const isUserSpace = attachMethod === 'user-space'
  const kernelParts = ['fuse', 'loop'].filter((part) => answer(`kernel:${part}`) === '')
  const checks: Check[] = [
    check(
      'rights',
      answer('uid') === '0',
      `runs as ${answer('user') || 'unknown'} on ${answer('system') || 'unknown'}`,
      'Attaching, formatting and mounting need root: connect as root, or set "sudo" for the connection and allow it without a password.',
    ),
    check(
      'hypervisor',
      answer('hypervisor') !== '',
      answer('hypervisor') === '' ? answer('virshWords') || 'virsh is missing' : hypervisor.join(' ').trim(),
      `Install libvirt and QEMU (packages libvirt-daemon-system, libvirt-clients, qemu-system) and start libvirtd; "virsh -c ${config.settings.uri} version" must answer.`,
    ),
    toolCheck('images', ['qemu-img'], 'Install qemu-utils (Debian) or qemu-img (Red Hat).'),
    check(
      'initiator name',
      initiatorName !== '',
      initiatorName === '' ? 'none' : initiatorName,
      'Write InitiatorName=iqn... to /etc/iscsi/initiatorname.iscsi, or set initiatorName for this host.',
    ),
    isUserSpace
      ? check(
          'attach in user space',
          missing(userSpaceTools).length === 0 && kernelParts.length === 0,
          [...missing(userSpaceTools), ...kernelParts.map((part) => `${part} of the kernel`)].join(', ') ||
            'all there',
          'Install open-iscsi where the kernel has iscsi_tcp; otherwise qemu-utils, nbdfuse and libiscsi-bin (Debian), with /dev/fuse and /dev/loop-control.',
        )
      : check(
          'attach with open-iscsi',
          answer('iscsid') !== '',
          answer('iscsid') === '' ? 'iscsid does not run' : 'iscsid runs',
          'Start it: systemctl enable --now iscsid.socket',
        ),
    toolCheck('disk tools', commonTools, 'Install util-linux, fdisk, coreutils and findutils.'),
    check(
      'file systems',
      fileSystems.length > 0,
      fileSystems.join(', ') || 'none',
      'Install e2fsprogs, xfsprogs or ntfs-3g.',
    ),
    check(
      'state directory',
      answer('stateDir') !== '',
      config.settings.stateDir,
      'Choose another stateDir for this host, on a writable file system.',
    ),
    toolCheck(
      'who uses a device',
      ['fuser'],
      'Install psmisc, so that errors can name the process that keeps a LUN.',
    ),
  ]
  return {
    hostName: answer('name'),
    hypervisor: hypervisor.join(' ').trim(),
    osType: 'linux',
    initiatorName,
    attachMethod,
    fileSystems,
    checks,
  }
}
