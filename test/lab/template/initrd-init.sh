#!/bin/sh
# First program of the initial RAM disk: loads the drivers in order, mounts the disk labelled "vmroot", goes on there.
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/lib/modules/$module"; done < /lib/modules/order

tries=0
until root=$(findfs LABEL=vmroot 2> /dev/null) && [ -n "$root" ]; do
  tries=$((tries + 1))
  if [ "$tries" -gt 200 ]; then echo "VMFAIL no disk labelled vmroot"; exec sh; fi
  sleep 0.05
done
mount -t ext4 "$root" /root || { echo "VMFAIL $root can't be mounted"; exec sh; }
for part in proc sys dev; do mount -o move "/$part" "/root/$part"; done
exec switch_root /root /sbin/init
