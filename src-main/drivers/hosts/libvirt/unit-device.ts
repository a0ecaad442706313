import { sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import { exit } from './exit-codes.ts'

/*
 * How a script finds the block device of a LUN and its partitions: by what the kernel says now (sysfs), never by a
 * device name remembered from before. Both ways of attaching are looked for, so that only attaching has to choose.
 */

/** `value FILE`: the first line of a file of /proc or /sys, or nothing; without starting a process. */
const valueFunction = sh`value() { { read -r line <"$1"; } 2>/dev/null || line=; printf '%s\\n' "$line"; }`

/** `loop_of`: the loop device over the LUN's FUSE file; `processes`: the pids of what serves that file. */
export const userSpaceLookup: ShellScript = sh`loop_of() {
  grep -lsxF -e "$dir/disk" /sys/block/loop*/loop/backing_file | while IFS=/ read -r _ _ _ name _; do echo "/dev/$name"; break; done
}
processes() { # those that have the LUN's socket as an argument; a zombie has no arguments any more
  grep -lsaxzF -e "$socket" /proc/[0-9]*/cmdline | while IFS=/ read -r _ _ pid _; do
    case $(value "/proc/$pid/comm") in qemu-nbd | nbdfuse) echo "$pid" ;; esac
  done
}`

/** `disks`: kernel names of the SCSI disks with the LUN's target, number and serial; `sessions`: those to its target. */
export const openIscsiLookup: ShellScript = sh`sessions() {
  for session in /sys/class/iscsi_session/session*; do
    [ "$(value "$session/targetname")" != "$target" ] || echo "$session"
  done
}
serial_of() { # unit serial number page (0x80): 4 bytes of header, then the text, padded
  tail -c +5 "/sys/block/$1/device/vpd_pg80" 2>/dev/null | tr -d ' \\000'
}
disks_of_any_serial() {
  sessions | while read -r session; do
    for disk in "$session"/device/target*/*:*:*:"$lun"/block/*; do [ ! -e "$disk" ] || echo "\${disk##*/}"; done
  done
}
disks() { disks_of_any_serial | while read -r disk; do [ "$(serial_of "$disk")" != "$serial" ] || echo "$disk"; done; }
multipath_of() { # the multipath map that holds a disk
  for holder in /sys/block/"$1"/holders/dm-*; do
    case $(value "$holder/dm/uuid") in mpath-*) value "$holder/dm/name" ;; esac
  done
}`

/** `find_device`: sets \`device\` to the LUN's block device, empty when there is none. */
export const findDevice: ShellScript = sh`find_device() {
  device=$(loop_of)
  if [ -z "$device" ]; then
    disk=$(disks | head -n 1)
    if [ -n "$disk" ]; then
      map=$(multipath_of "$disk")
      device=/dev/\${map:+mapper/}\${map:-$disk}
    fi
  fi
}
need_device() { find_device; [ -n "$device" ] || fail ${exit.notAttached} "no block device with serial $serial"; }`

/**
 * `partition N`: the device node of a partition of \`device\`; `update_partitions`: has the kernel see what the table
 * says (some kernels have no parser for it, then only this makes the partitions).
 */
export const partitions: ShellScript = sh`kernel_name() { # of device
  case $device in /dev/mapper/*) kernel=$(readlink -f "$device") ;; *) kernel=$device ;; esac
  kernel=\${kernel##*/}
}
partitions() { # NUMBER NODE of each
  kernel_name
  case $kernel in
  dm-*)
    for holder in /sys/block/"$kernel"/holders/dm-*; do
      uuid=$(value "$holder/dm/uuid")
      case $uuid in part*-*) number=\${uuid%%-*}; echo "\${number#part} /dev/mapper/$(value "$holder/dm/name")" ;; esac
    done ;;
  *)
    for entry in /sys/block/"$kernel/$kernel"*/partition; do
      [ ! -e "$entry" ] || { node=\${entry%/partition}; echo "$(value "$entry") /dev/\${node##*/}"; }
    done ;;
  esac
}
partition() { partitions | while read -r number node; do [ "$number" != "$1" ] || [ ! -b "$node" ] || echo "$node"; done; }
update_partitions() {
  kernel_name
  case $kernel in
  dm-*) settle; [ -n "$(partitions)" ] || kpartx -a -p -part "$device" >/dev/null ;;
  *) partx -u "$device" >/dev/null 2>&1 || true ;; # an empty LUN has no table
  esac
}
settle() { [ ! -S /run/udev/control ] || udevadm settle -t 10 || true; }
mounts() { # mount points of the device and its partitions
  { echo "$device"; partitions | cut -d ' ' -f 2-; } | while read -r node; do findmnt -rno TARGET -S "$node" || true; done
}`

/** `users`: who uses `device`, for a person. fuser sees also what only holds it open; it may not be installed. */
export const deviceUsers: ShellScript = sh`users() {
  found=$(mounts | tr '\\n' ' ')
  [ -z "$found" ] || { echo "$device is mounted at $found"; return; }
  for pid in $(fuser "$device" $(partitions | cut -d ' ' -f 2-) 2>/dev/null || true); do
    echo "process $pid: $(tr '\\0' ' ' <"/proc/$pid/cmdline" | cut -c 1-200)"
  done
}`

/** `need_mounted`: the LUN's own file system is at its mount point, so that nothing is written beside it. */
export const mountedUnit: ShellScript = sh`mounted_from() { [ ! -d "$mnt" ] || findmnt -rn -M "$mnt" -o SOURCE || true; }
need_mounted() {
  need_device
  node=$(partition 2)
  [ -n "$node" ] && [ "$(mounted_from)" = "$node" ] || fail ${exit.notMounted} "$mnt: found \"$(mounted_from)\", not \"$node\""
}`

/** What a script includes that works on an attached LUN. */
export const deviceFunctions: readonly ShellScript[] = [
  valueFunction,
  userSpaceLookup,
  openIscsiLookup,
  findDevice,
  partitions,
  mountedUnit,
]
