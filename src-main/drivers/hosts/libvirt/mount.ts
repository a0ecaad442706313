import type { FileSystemType } from '#shared/domain/storage.ts'
import { lines, sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import type { UnitFiles, MountOptions } from '../contract.ts'
import { exit } from './exit-codes.ts'
import { lunScript, mountPoint } from './lun-frame.ts'
import type { LunRunner } from './lun-runner.ts'
import { deviceFunctions } from './unit-device.ts'

/*
 * Clones of one container have one UUID, which XFS refuses twice on a host. Read-only means that not one byte is
 * written, so a journal is not replayed either.
 */
const mountOptions: Record<FileSystemType, { readonly writable: string; readonly readOnly: string }> = {
  ext4: { writable: 'rw,noatime', readOnly: 'ro,noload' },
  xfs: { writable: 'rw,noatime,nouuid', readOnly: 'ro,norecovery,nouuid' },
  ntfs: { writable: 'rw,noatime', readOnly: 'ro,norecover' },
}
const mountTypes: Record<FileSystemType, string> = { ext4: 'ext4', xfs: 'xfs', ntfs: 'ntfs-3g' }

/** Mounts the file system of `device`, whose partitions are up to date. */
export function mountScript({ fileSystem, readOnly = false }: MountOptions): ShellScript {
  const mode = readOnly ? 'ro' : 'rw'
  const options = mountOptions[fileSystem][readOnly ? 'readOnly' : 'writable']
  return sh`source=$(mounted_from)
node=$(partition 2)
if [ -n "$source" ]; then
  [ "$source" = "$node" ] || fail ${exit.inUse} "$source is mounted at $mnt"
  case ,$(findmnt -rn -M "$mnt" -o OPTIONS), in *,${mode},*) exit 0 ;; esac
  fail ${exit.inUse} "it is mounted already, but not as ${mode}"
fi
settle # udev may be about to read the table again, and has no partitions meanwhile
partition_there() { node=$(partition 2); [ -n "$node" ]; }
wait_for 5 partition_there || fail ${exit.mountFailed} "$device has no partition 2"
mkdir -p "$mnt"
# a file system in user space stays as a process: it must not keep the lock
words=$(mount -t ${mountTypes[fileSystem]} -o ${options} "$node" "$mnt" 2>&1 9>&-) || {
  rmdir "$mnt"
  fail ${exit.mountFailed} "$words"
}`
}

export function createMounts(
  runner: LunRunner,
): Pick<UnitFiles, 'mountUnit' | 'unmountUnit' | 'mountPointOf' | 'syncUnit'> {
  const { config } = runner
  return {
    mountPointOf: (lun) => mountPoint(config, lun),

    mountUnit(lun, options) {
      const body = lines(
        sh`lock
need_device
update_partitions`,
        mountScript(options),
      )
      return runner.action(lun, lunScript(config, lun, deviceFunctions, body), () => mountPoint(config, lun))
    },

    unmountUnit(lun) {
      const body = sh`[ -d "$mnt" ] || exit 0
lock
if findmnt -rn -M "$mnt" >/dev/null; then
  words=$(umount "$mnt" 2>&1) || {
    # a file system whose process has died answers nothing and can be unmounted lazily only
    ! stat "$mnt" >/dev/null 2>&1 || fail ${exit.inUse} "$words
$(for pid in $(fuser -m "$mnt" 2>/dev/null); do echo "process $pid: $(tr '\\0' ' ' <"/proc/$pid/cmdline" | cut -c 1-200)"; done)"
    umount -l "$mnt"
  }
fi
[ ! -d "$mnt" ] || rmdir "$mnt"`
      return runner.action(lun, lunScript(config, lun, [], body), () => undefined)
    },

    syncUnit(lun) {
      // the device too: a file system in user space writes through the device's cache, whose errors only that reports
      const body = sh`need_mounted
words=$(sync -f "$mnt" 2>&1 && sync "$node" 2>&1) || fail ${exit.writeLost} "$words"`
      return runner.action(lun, lunScript(config, lun, deviceFunctions, body), () => undefined)
    },
  }
}
