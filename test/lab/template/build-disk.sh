#!/bin/sh
# build-disk.sh OUT KERNEL START DISK_MIB PAYLOAD_MIB
# OUT/disk.raw: a BIOS-bootable disk (MBR, one ext4 partition, extlinux, Debian's cloud kernel, busybox) with PAYLOAD_MIB of
# random data, so that copies have something to copy. Runs in a mount namespace of its own: nothing stays mounted.
set -eu
out=$1 kernel=$2 start=$3 disk_mib=$4 payload_mib=$5
root=$out/root
mkdir "$root" "$out/mnt"
for part in bin sbin etc/init.d proc sys dev tmp run mnt boot var/log usr/share; do mkdir -p "$root/$part"; done
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $(busybox --list); do
  [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
ln -s ../bin/busybox "$root/sbin/init"
cp "$start" "$root/etc/init.d/start"
chmod 755 "$root/etc/init.d/start"
cat > "$root/etc/inittab" <<'END'
::sysinit:/etc/init.d/start
ttyS0::respawn:/bin/sh -l
::ctrlaltdel:/bin/busybox poweroff
::shutdown:/bin/busybox umount -a -r
END
cp "$kernel/vmlinuz" "$kernel/initrd.gz" "$root/boot/"
cat > "$root/boot/extlinux.conf" <<'END'
DEFAULT vm
PROMPT 0
TIMEOUT 0
LABEL vm
 LINUX /boot/vmlinuz
 INITRD /boot/initrd.gz
 APPEND console=ttyS0,115200 quiet loglevel=3 net.ifnames=0 mitigations=off tsc=reliable no_timer_check nokaslr random.trust_cpu=on panic=5
END
if [ "$payload_mib" -gt 0 ]; then
  dd if=/dev/urandom of="$root/usr/share/payload" bs=1M count="$payload_mib" status=none
fi

disk=$out/disk.raw
truncate -s "${disk_mib}M" "$disk"
printf 'label: dos\nstart=2048, type=83, bootable\n' | sfdisk -q --no-reread --no-tell-kernel "$disk"
dd if=/usr/lib/EXTLINUX/mbr.bin of="$disk" bs=440 count=1 conv=notrunc status=none
truncate -s "$((disk_mib - 1))M" "$out/part.raw"
# Blocks of 4 KiB: with 1 KiB, what mkfs takes for a disk this small, extlinux fails to read the kernel (seen, 6.04).
mkfs.ext4 -q -b 4096 -L vmroot -m 0 -O ^64bit,^metadata_csum,^resize_inode -J size=4 \
  -E lazy_itable_init=0,lazy_journal_init=0 -d "$root" "$out/part.raw"
mount -o loop "$out/part.raw" "$out/mnt"
extlinux --install "$out/mnt/boot" > /dev/null
umount "$out/mnt"
dd if="$out/part.raw" of="$disk" bs=1M seek=1 conv=notrunc,sparse status=none
rm -r "$root" "$out/part.raw"
rmdir "$out/mnt"
