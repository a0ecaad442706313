#!/bin/sh
# Start-up of the template VM (busybox). Name and UUID come from SMBIOS, so one disk serves many VMs: the serial number
# "ds=nocloud;h=NAME" gives the name. Every boot is noted on the disk, so that a run leaves a trace on it.
export PATH=/bin:/sbin
mount -t tmpfs tmpfs /run
serial=$(cat /sys/class/dmi/id/product_serial 2> /dev/null)
name=$(printf '%s\n' "$serial" | tr ';' '\n' | sed -n 's/^h=//p' | head -n 1)
name=${name:-template}
uuid=$(cat /sys/class/dmi/id/product_uuid 2> /dev/null)
mac=$(cat /sys/class/net/eth0/address 2> /dev/null)
hostname "$name"
ifconfig lo up
ifconfig eth0 up 2> /dev/null
echo "$name $uuid $mac" >> /var/log/boots
sync
echo "VMREADY $name $uuid mac=$mac boots=$(wc -l < /var/log/boots) up=$(cut -d ' ' -f 1 /proc/uptime)" > /dev/ttyS0
