import type { LibvirtHostConfig } from '#shared/domain/compute.ts'
import type { ChapLogin, LunAddress } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { lines, sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import { stdoutText, type RunResult } from '#main/transports/shell/shell.ts'
import type { AttachedLun, HostDriver, UnitFiles } from '../contract.ts'
import { attachOpenIscsi, detachOpenIscsi, kernelInitiator } from './attach-open-iscsi.ts'
import { attachUserSpace, detachUserSpace, userSpaceIdentity } from './attach-user-space.ts'
import { chapFunctions } from './chap.ts'
import { exit } from './exit-codes.ts'
import { lunScript, mountPoint } from './lun-frame.ts'
import type { LunRunner } from './lun-runner.ts'
import { mountScript } from './mount.ts'
import { deviceFunctions, deviceUsers } from './unit-device.ts'

/** `host_initiator`: the host's own name; `initiator`: the one to log in with. */
export const initiatorNames = (
  config: LibvirtHostConfig,
): ShellScript => sh`initiator=${config.settings.initiatorName ?? ''}
host_initiator=
if [ -r /etc/iscsi/initiatorname.iscsi ]; then
  while IFS='=' read -r key value || [ -n "$key" ]; do
    [ "$key" != InitiatorName ] || host_initiator=$value
  done </etc/iscsi/initiatorname.iscsi
fi
initiator=\${initiator:-$host_initiator}
[ -n "$initiator" ] || fail ${exit.toolMissing} 'the host has no initiator name: /etc/iscsi/initiatorname.iscsi'`

/*
 * `unmount_dead`: before a dead device is made anew; what still uses the mount keeps it, and then so do we.
 * `detach`: the LUN's directory goes last, so that as long as it is there something of the LUN may be.
 */
const detachFunctions = sh`unmount_dead() {
  ! findmnt -rn -M "$mnt" >/dev/null || umount "$mnt" ||
    fail ${exit.inUse} "a dead device is mounted at $mnt: $(fuser -vm "$mnt" 2>&1 || true)"
}
detach() {
  detach_user_space
  detach_open_iscsi
  [ ! -d "$mnt" ] || rmdir "$mnt"
  rm -f "$dir/header.new"
  [ ! -d "$dir" ] || rmdir "$dir"
}`

/** `device=` and, when the unit's file system is mounted where we mount it, `options=`. */
const describe = sh`echo "device=$device"
source=$(mounted_from)
if [ -n "$source" ] && [ "$source" = "$(partition 2)" ]; then findmnt -rn -M "$mnt" -o OPTIONS | sed 's/^/options=/'; fi`

/** Attaching, asking and detaching. Which way is used is the host's matter and is decided in the script. */
export function createAttachments(
  runner: LunRunner,
): Pick<HostDriver, 'attachLun' | 'findAttached' | 'detachLun'> & Pick<UnitFiles, 'attachMounted'> {
  const { config } = runner
  const functions = [...deviceFunctions, deviceUsers, detachFunctions, detachUserSpace, detachOpenIscsi]

  /** Attaches; `then` may use `device`. */
  function attachScript(lun: LunAddress, then: ShellScript, login: ChapLogin | undefined): ShellScript {
    const parts = [
      chapFunctions(login),
      ...functions,
      userSpaceIdentity,
      attachUserSpace,
      kernelInitiator,
      attachOpenIscsi,
    ]
    const body = lines(
      initiatorNames(config),
      sh`lock
device=$(loop_of)
if [ -z "$device" ] && kernel_initiator; then attach_open_iscsi; need_device; else attach_user_space; fi
update_partitions`,
      then,
    )
    return lunScript(config, lun, parts, body)
  }

  function parse(lun: LunAddress, text: string): AttachedLun | undefined {
    const values = new Map(text.split('\n').map((line) => line.split('=', 2) as [string, string]))
    const device = values.get('device')
    const options = values.get('options')?.split(',')
    if (device === undefined) return values.has('partial') ? { device: '', partial: true } : undefined
    if (options === undefined) return { device }
    return { device, mountedAt: mountPoint(config, lun), readOnly: options.includes('ro') }
  }

  return {
    attachLun(lun, login) {
      const finish = (result: RunResult): AttachedLun => {
        const attached = parse(lun, stdoutText(result))
        if (attached === undefined) throw new AppError('bug', 'The host attached a LUN but named no device')
        return attached
      }
      return runner.action(lun, attachScript(lun, describe, login), finish, login)
    },

    attachMounted: (lun, options, login) =>
      runner.action(
        lun,
        attachScript(lun, mountScript(options), login),
        () => mountPoint(config, lun),
        login,
      ),

    async findAttached(lun, signal) {
      const body = lines(
        sh`find_device
case $device in /dev/loop*) [ "$(processes | wc -l)" -eq 2 ] || device= ;; esac
[ -n "$device" ] || { [ ! -d "$dir" ] || echo partial=1; exit 0; }`,
        describe,
      )
      const script = lunScript(config, lun, deviceFunctions, body)
      return parse(lun, stdoutText(await runner.run(lun, script, signal)))
    },

    detachLun(lun) {
      const body = sh`[ -e "$home" ] || [ -n "$(sessions)" ] || record_there || exit 0 # a restart empties a tmpfs
lock
find_device
if [ -n "$device" ]; then
  found=$(users)
  [ -z "$found" ] || fail ${exit.inUse} "$found"
fi
unmount_dead
detach`
      return runner.action(lun, lunScript(config, lun, functions, body), () => undefined)
    },
  }
}
