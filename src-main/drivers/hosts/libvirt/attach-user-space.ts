import { sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import { exit } from './exit-codes.ts'

/*
 * Where the kernel has no iSCSI initiator: qemu-nbd logs in (libiscsi) and serves the LUN on a UNIX socket, nbdfuse
 * shows that as a file, a loop device makes the file a block device. Not qemu-storage-daemon's FUSE export, which
 * is one process fewer: under a loop device with direct I/O version 7.2 mixes up concurrent writes and corrupts data.
 */

/** `verify_user_space`: asks the LUN itself for its serial. */
export const userSpaceIdentity: ShellScript = sh`verify_user_space() {
  command -v iscsi-inq >/dev/null || fail ${exit.toolMissing} 'iscsi-inq is not installed (package libiscsi-bin)'
  answer=$(with_login timeout 20 iscsi-inq -i "$initiator" --evpd=1 --pagecode=128 "iscsi://$portal/$target/$lun" 2>&1) || {
    refused "$answer"
    fail ${exit.loginFailed} "$initiator at $portal: $answer"
  }
  seen=\${answer#*'Unit Serial Number:['} seen=\${seen%%]*}
  seen=\${seen#"\${seen%%[! ]*}"} seen=\${seen%"\${seen##*[! ]}"} # padded with blanks
  [ "$seen" = "$serial" ] || fail ${exit.otherLun} "serial number $seen instead of $serial"
}`

/**
 * `attach_user_space`: `device` is the LUN's loop device, empty when there is none; afterwards the one that is there.
 * `user_space_usable`: it is there and answers. An array that does not answer keeps it waiting instead
 * (I/O is retried), so what fails here is dead.
 */
export const attachUserSpace: ShellScript = sh`user_space_usable() {
  [ -n "$device" ] && [ "$(processes | wc -l)" -eq 2 ] &&
    dd if="$device" of=/dev/null bs=4096 count=1 iflag=direct status=none 2>/dev/null
}
serve() {
  image="driver=iscsi,transport=tcp,portal=$portal,target=$target,lun=$lun,initiator-name=$initiator"
  set --
  if [ -n "$chap_user" ]; then # libiscsi keeps the secret for new logins after a loss; no file holds it
    set -- --object secret,id=login,file=/dev/stdin
    image="$image,user=$(doubled "$chap_user"),password-secret=login"
  fi
  printf %s "$chap_secret" |
    timeout 20 qemu-nbd "$@" --fork --persistent $read_only -k "$socket" --cache=none --discard=unmap \\
      --image-opts "$image" >"$dir/log" 2>&1 9>&-
}
doubled() { printf %s "$1" | sed 's/,/,,/g'; } # a comma that is not the end of an option
attach_user_space() {
  user_space_usable && return
  for tool in qemu-nbd nbdfuse losetup partx; do
    command -v "$tool" >/dev/null || fail ${exit.toolMissing} "$tool is not installed"
  done
  if [ -d "$dir" ]; then # what a crash has left
    unmount_dead
    detach_user_space
  fi
  verify_user_space
  mkdir -p "$dir"
  : >"$dir/disk"
  read_only=
  serve || { # a LUN that the array exports for reading only is refused to who wants to write
    grep -q 'write protected' "$dir/log" && read_only=--read-only && serve
  } || fail ${exit.loginFailed} "$(cat "$dir/log")"
  # one connection: requests stay in order behind each flush
  setsid nbdfuse -C 1 "$dir/disk" --unix "$socket" </dev/null >>"$dir/log" 2>&1 9>&- &
  wait_for 10 test -s "$dir/disk" || fail ${exit.notInTime} "nbdfuse: $(cat "$dir/log")"
  device=$(losetup --find --show --direct-io=on $read_only "$dir/disk")
  # losetup -d leaves partitions that partx had added: whoever used this number before may have left some
  for left_over in /sys/block/"\${device#/dev/}"/*/partition; do
    [ ! -e "$left_over" ] || { partx -d "$device" 2>/dev/null || true; break; }
  done
}`

/** `detach_user_space`: removes whatever there is of an attachment, in any state, and proves that it is gone. */
export const detachUserSpace: ShellScript = sh`no_loop() { [ -z "$(loop_of)" ]; }
no_process() { [ -z "$(processes)" ]; }
no_partition() { partx -d "$device" 2>/dev/null || true; [ -z "$(partitions)" ]; }
detach_user_space() {
  device=$(loop_of)
  if [ -n "$device" ]; then
    # the kernel keeps a partition that anything has open, in whatever mount namespace
    wait_for 3 no_partition || { update_partitions; fail ${exit.inUse} "$(users)"; }
    losetup -d "$device"
    wait_for 3 no_loop || fail ${exit.inUse} "$(users)"
  fi
  # a FUSE file whose server has died can be unmounted lazily only
  umount "$dir/disk" 2>/dev/null || umount -l "$dir/disk" 2>/dev/null || true
  pids=$(processes)
  [ -z "$pids" ] || kill $pids 2>/dev/null || true
  wait_for 5 no_process || { kill -KILL $(processes) 2>/dev/null || true; }
  wait_for 5 no_process || fail ${exit.notInTime} "processes" $(processes) "do not end"
  rm -f "$dir/disk" "$socket" "$dir/log"
}`
