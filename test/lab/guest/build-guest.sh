#!/bin/sh
# build-guest.sh OUT KERNEL INIT SUITE MIRROR PACKAGES
# OUT/disk.raw: a Debian root file system for the guest, without boot loader. PACKAGES: separated by commas.
set -eu
out=$1 kernel=$2 init=$3 suite=$4 mirror=$5 packages=$6
root=$out/root
debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" > "$out/debootstrap.log" 2>&1 || {
  tail -n 20 "$out/debootstrap.log" >&2
  exit 1
}
cp -a "$kernel/lib/modules" "$root/lib/"
rm -f "$root/sbin/init"
cp "$init" "$root/sbin/init"
chmod 755 "$root/sbin/init"
echo lab-guest > "$root/etc/hostname"
ln -sf ../proc/self/mounts "$root/etc/mtab"
# No documentation, no downloaded packages, no networks or domains to start.
rm -rf "$root/var/cache/apt/archives" "$root/var/lib/apt/lists" "$root/usr/share/doc" "$root/usr/share/man" \
  "$root/usr/share/locale" "$root/etc/libvirt/qemu/networks" "$root"/etc/ssh/ssh_host_*
mkdir -p "$root/var/lib/apt/lists" "$root/var/cache/apt/archives/partial"
cat > "$root/etc/ssh/sshd_config.d/lab.conf" <<'END'
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
UsePAM no
UseDNS no
PrintMotd no
MaxSessions 100
END
sed -i 's|^root:[^:]*:|root:*:|' "$root/etc/shadow"
# libvirt's QEMU driver asks for its account before it reads that it is to use another one.
echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >> "$root/etc/passwd"
echo 'libvirt-qemu:x:64055:' >> "$root/etc/group"
mkdir -p "$root/etc/libvirt"
cat > "$root/etc/libvirt/qemu.conf" <<'END'
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = [ ]
cgroup_controllers = [ ]
stdio_handler = "file"
END
cat > "$root/etc/libvirt/libvirtd.conf" <<'END'
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
END
truncate -s 4G "$out/disk.raw"
mkfs.ext4 -q -L vmroot -m 0 -d "$root" "$out/disk.raw"
rm -rf --one-file-system "$root" "$out/debootstrap.log"
