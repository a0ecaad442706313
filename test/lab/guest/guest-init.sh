#!/bin/sh
# First program of the guest: a real iSCSI host without systemd. Keys and names come from the lab through fw_cfg, so
# that one disk image serves every lab.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C
mount -t tmpfs -o mode=0755 run /run
mkdir -p /run/sshd /run/lock /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
ln -s /proc/self/fd /dev/fd
for stream in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${stream%%:*}" "/dev/${stream#*:}"; done
hostname lab-guest
ip link set lo up

/lib/systemd/systemd-udevd --daemon
for module in qemu_fw_cfg virtio_net sg sd_mod iscsi_tcp loop fuse xfs ext4; do modprobe "$module"; done
udevadm trigger -c add
udevadm settle

given=/sys/firmware/qemu_fw_cfg/by_name/opt/org.gantry.lab
umask 077
mkdir -p /root/.ssh
cat "$given/authorized-keys/raw" > /root/.ssh/authorized_keys
cat "$given/host-key/raw" > /etc/ssh/ssh_host_ed25519_key
umask 022
printf 'InitiatorName=%s\n' "$(cat "$given/initiator/raw")" > /etc/iscsi/initiatorname.iscsi

ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2

/usr/sbin/sshd
/usr/sbin/iscsid
setsid libvirtd > /var/log/libvirtd.out 2>&1 < /dev/null &
echo "GUESTREADY up=$(cut -d ' ' -f 1 /proc/uptime)" > /dev/ttyS0
# Collects processes whose parents are gone.
while :; do
  sleep infinity &
  wait "$!" || true
done
