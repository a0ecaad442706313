# drain.sh DIR, on a machine that is about to go: ends its processes, then lets go of every mount and loop device that
# lies in the lab's folder. Loop devices are the one thing that would outlive the machine; once it is gone their
# backing files can no longer be told from anyone else's.
set -eu
dir=$1
# Which ones they are is asked first: the path of a FUSE file is lost with its mount.
loops=
for backing in /sys/block/loop*/loop/backing_file; do
  [ -e "$backing" ] || continue
  file=$(cat "$backing" 2> /dev/null) || continue
  loop=${backing%/loop/backing_file}
  case $file in
    "$dir"/*) loops="$loops /dev/${loop##*/}" ;;
  esac
done

# All but this shell and the machine's first process. What waits for a dead array gets its I/O errors now.
kill -s KILL -- -1 2> /dev/null || true

tac /proc/self/mountinfo | while read -r _ _ _ _ mounted _; do
  mounted=$(printf '%b' "$mounted")
  case $mounted in
    "$dir"/*) umount -l "$mounted" 2> /dev/null || true ;;
  esac
done

# Detached at once, or when its last user lets go.
for loop in $loops; do partx -d "$loop" 2> /dev/null || true; losetup -d "$loop" 2> /dev/null || true; done
