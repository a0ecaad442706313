#!/bin/sh
# machine.sh NAME ROOT HIDDEN
# First process of a machine of the lab, in PID, mount and UTS namespaces of its own. NAME: array or host; ROOT: the
# machine's own folder; HIDDEN: the other machine's folder, which this one must not see.
# What it mounts exists in this machine only and goes with it. It stays to collect every process whose parent is gone,
# at once (libvirt waits for that when it ends a VM).
set -eu
name=$1 root=$2 hidden=$3
hostname "lab-$name"

mount -t tmpfs -o mode=0755 run /run
# Read with the rights of whoever logs in; the lab's own folder may be closed to them.
cp "$root/authorized_keys" /run/lab-authorized_keys
chmod 644 /run/lab-authorized_keys
mkdir /run/sshd /run/lock /run/mount
mount -t tmpfs -o mode=0755,size=64k hidden "$hidden"
# Accounts, libvirt's and the initiator's configuration: changed here, unchanged outside.
mount -t overlay -o "lowerdir=/etc,upperdir=$root/etc,workdir=$root/etc.work" etc /etc

# root logs in with a plain shell whatever the real one's start-up files do; "lab-visitor" may do nothing,
# "lab-operator" may use sudo without a password.
accounts='/^root:/d; /^lab-visitor:/d; /^lab-operator:/d'
sed -e "$accounts" /etc/passwd > "$root/passwd"
printf 'root:x:0:0:root:%s/home:/bin/sh\n' "$root" >> "$root/passwd"
printf '%s:x:%s::/nonexistent:/bin/sh\n' lab-visitor 64999:64999 lab-operator 64998:64998 >> "$root/passwd"
sed -e "$accounts" /etc/shadow > "$root/shadow"
printf '%s:*:19000::::::\n' root lab-visitor lab-operator >> "$root/shadow"
cat "$root/passwd" > /etc/passwd
cat "$root/shadow" > /etc/shadow
rm "$root/passwd" "$root/shadow"
echo 'lab-operator ALL=(root) NOPASSWD: ALL' > /etc/sudoers.d/gantry-lab
chmod 440 /etc/sudoers.d/gantry-lab

. "$root/setup.sh"

echo ready > /run/lab-ready
while :; do
  sleep infinity &
  wait "$!" || true
done
