#!/bin/sh
# Start-up of the UEFI template (busybox, all in memory): a guest with Debian's QEMU guest agent. Says whether it was
# started by UEFI, and its UUID from SMBIOS.
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /run /tmp
while read -r module; do insmod "/lib/modules/$module"; done < /lib/modules/order

for port in /sys/class/virtio-ports/*; do
  [ "$(cat "$port/name" 2> /dev/null)" = org.qemu.guest_agent.0 ] || continue
  qemu-ga -d -m virtio-serial -p "/dev/${port##*/}" -t /run -f /run/qemu-ga.pid
done
firmware=bios
[ ! -d /sys/firmware/efi ] || firmware=uefi
echo "VMREADY $(cat /sys/class/dmi/id/product_uuid) firmware=$firmware" > /dev/ttyS0
exec sh < /dev/ttyS0 > /dev/ttyS0 2>&1
