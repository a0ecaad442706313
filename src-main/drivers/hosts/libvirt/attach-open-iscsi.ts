import { sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import { exit } from './exit-codes.ts'

/** `kernel_initiator`: whether this host attaches with open-iscsi: iscsiadm and the kernel's iSCSI over TCP are there. */
export const kernelInitiator: ShellScript = sh`kernel_initiator() {
  command -v iscsiadm >/dev/null || return 1
  [ -d /sys/class/iscsi_transport/tcp ] || modprobe -q iscsi_tcp 2>/dev/null || true
  [ -d /sys/class/iscsi_transport/tcp ]
}`

/**
 * A node record of our own instead of discovery: arrays announce portals that a host may not reach. It is never
 * started at boot, so that nothing is attached behind the console's back. iscsid reads the secret of a login from the
 * record, also for new logins after its own restart; the record goes with the session. `iscsiadm` answers 15 for a session and
 * 21 for a record or session that is not there.
 */
export const attachOpenIscsi: ShellScript = sh`iscsi() { iscsiadm -m node -T "$target" -p "$portal" "$@"; }
disk_there() { [ -n "$(disks_of_any_serial)" ] && [ -z "$(disk_without_node)" ]; }
disk_without_node() { disks_of_any_serial | while read -r disk; do [ -b "/dev/$disk" ] || echo "$disk"; done; }
map_there() { [ -n "$(multipath_of "$disk")" ]; }
make_record() {
  iscsi -I "$interface" -o new >/dev/null && iscsi -I "$interface" -o update -n node.startup -v manual || return
  [ -z "$chap_user" ] || { iscsi -I "$interface" -o update -n node.session.auth.authmethod -v CHAP &&
    iscsi -I "$interface" -o update -n node.session.auth.username -v "$chap_user"; }
}
record_secret() { # as an argument of iscsiadm anybody could read it; the record is for root alone
  found=$(find /etc/iscsi/nodes/"$target" /var/lib/iscsi/nodes/"$target" -type f 2>/dev/null || true)
  while read -r record; do printf 'node.session.auth.password = %s\\n' "$chap_secret" >>"$record"; done <<END
$found
END
  [ "$(iscsi --show | sed -n 's/^node.session.auth.password = //p' | sort -u)" = "$chap_secret" ]
}
attach_open_iscsi() {
  mkdir -p "$dir"
  new_session=
  if [ -z "$(disks_of_any_serial)" ]; then
    interface=default
    if [ "$initiator" != "$host_initiator" ]; then # the host is to show another name to this LUN
      interface=gantry
      iscsiadm -m iface -I gantry -o new >/dev/null 2>&1 || true
      iscsiadm -m iface -I gantry -o update -n iface.transport_name -v tcp >/dev/null
      iscsiadm -m iface -I gantry -o update -n iface.initiatorname -v "$initiator" >/dev/null
    fi
    if [ -n "$(sessions)" ]; then
      iscsi --rescan >/dev/null || true
    else
      with_records --exclusive make_record
      [ -z "$chap_user" ] || with_records --shared record_secret || {
        detach
        fail ${exit.secretLost} 'its record of the target does not hold it'
      }
      answer=$(with_records --shared timeout 60 iscsiadm -m node -T "$target" -p "$portal" -I "$interface" --login 2>&1) || {
        detach
        refused "$answer"
        fail ${exit.loginFailed} "$answer"
      }
      new_session=yes
    fi
    wait_for 20 disk_there || fail ${exit.notInTime} "no disk for LUN $lun of $target"
  fi
  disk=$(disks | head -n 1)
  if [ -z "$disk" ]; then
    disk=$(disks_of_any_serial | head -n 1)
    found="/dev/$disk has the serial number $(serial_of "$disk") instead of $serial"
    [ -z "$new_session" ] || iscsi --logout >/dev/null
    detach
    fail ${exit.otherLun} "$found"
  fi
  settle
  # where multipathd takes every new disk, its map is the device to use: wait for it
  if multipathd show daemon >/dev/null 2>&1 && multipath -c "/dev/$disk" >/dev/null 2>&1; then
    wait_for 10 map_there || fail ${exit.notInTime} "multipathd has made no map of /dev/$disk"
  fi
}`

/** `verify_open_iscsi`: asks the LUN itself, before something that cannot be undone. */
export const openIscsiIdentity: ShellScript = sh`verify_open_iscsi() { # anew: sysfs shows what was there when the disk was found or scanned last
  for disk in $(disks); do echo 1 >"/sys/block/$disk/device/rescan"; done
  disk=$(disks | head -n 1)
  [ -n "$disk" ] || fail ${exit.otherLun} "the disk does not have the serial number $serial any more"
  found=$(value "/sys/block/$disk/device/wwid")
  case $found in naa.6*) [ "$found" = "naa.$naa" ] || fail ${exit.otherLun} "NAA $found instead of $naa" ;; esac
}`

/**
 * `detach_open_iscsi`: only disks with the LUN's serial are removed; the session is ended unless it carries other
 * disks. A session without any disk is what a failed login or a LUN that is gone leaves. iscsiadm reads the records
 * of all targets and fails when one vanishes meanwhile, so scripts that run at the same time (`with_records`) take
 * turns; an iscsid that it starts must not inherit their locks.
 */
export const detachOpenIscsi: ShellScript = sh`with_records() { # LOCK COMMAND...
  exec 7</etc/iscsi
  flock "$1" -w 60 7 || fail ${exit.locked} '/etc/iscsi is locked'
  shift
  "$@" 7<&- 9>&- && status=0 || status=$?
  exec 7<&-
  return "$status"
}
record_there() { [ -d "/etc/iscsi/nodes/$target" ] || [ -d "/var/lib/iscsi/nodes/$target" ]; }
no_disk() { [ -z "$(disks)" ]; }
no_session() { [ ! -e "$1" ]; }
no_map() { multipath -f "$map" >/dev/null 2>&1 || true; [ -z "$(multipath_of "$disk")" ]; }
detach_open_iscsi() {
  for disk in $(disks); do
    map=$(multipath_of "$disk")
    if [ -n "$map" ]; then
      wait_for 5 no_map || fail ${exit.inUse} "multipath map $map: $(device=/dev/mapper/$map users)"
    fi
    device=/dev/$disk
    found=$(users)
    [ -z "$found" ] || fail ${exit.inUse} "$found"
    wait_for 3 no_partition || { update_partitions; fail ${exit.inUse} "a partition of $device is open"; }
    blockdev --flushbufs "$device" || true
    echo 1 >"/sys/block/$disk/device/delete"
  done
  wait_for 10 no_disk || fail ${exit.notInTime} "$(disks)" "is still there"
  for session in $(sessions); do
    others=$(ls -d "$session"/device/target*/*/block/* 2>/dev/null || true)
    [ -z "$others" ] || continue
    words=$(iscsiadm -m session -r "\${session##*/session}" --logout 2>&1) || [ ! -e "$session" ] || fail ${exit.inUse} "$words"
    wait_for 10 no_session "$session" || fail ${exit.notInTime} "\${session##*/} does not end"
  done
  if [ -z "$(sessions)" ] && command -v iscsiadm >/dev/null; then
    words=$(with_records --exclusive iscsiadm -m node -T "$target" -o delete 2>&1) || [ $? -eq 21 ] ||
      fail ${exit.notInTime} "node record of $target: $words"
  fi
}`
