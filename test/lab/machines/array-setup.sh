# Read by machine.sh on the array. The loop devices under these mounts go when the mounts go.
for volume in vol1 small btrfs; do
  mount -o loop,noatime,discard "$root/$volume.img" "$root/$volume"
done
mkdir /run/tgtd
