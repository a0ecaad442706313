#!/bin/sh
# build-uefi-disk.sh OUT KERNEL INIT
# OUT/disk.raw: a disk that only UEFI can start. Its one partition, the EFI system partition, has on the default path
# Debian's cloud kernel, an initial RAM disk with busybox and Debian's guest agent, and the kernel's options, in one
# program (systemd's stub).
set -eu
out=$1 kernel=$2 init=$3
cd "$out"
mkdir download root
chmod 777 download # apt drops its rights for downloading
(cd download && apt-get -q download qemu-guest-agent)
dpkg-deb -x download/*.deb package
mkdir -p root/bin root/lib/modules
cp package/usr/sbin/qemu-ga root/bin/
# Its libraries are among those of QEMU itself, which is installed.
ldd root/bin/qemu-ga | sed -n 's/.* => \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*/\1/p' | while read -r library; do
  mkdir -p "root$(dirname "$library")"
  cp -L "$library" "root$library"
done
cp "$init" root/init
chmod 755 root/init
version=$(ls "$kernel/lib/modules")
for module in virtio_pci virtio_console; do
  modprobe -d "$kernel" -S "$version" --show-depends "$module" 2> /dev/null || true
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | while read -r file; do
  if [ ! -e "root/lib/modules/$(basename "$file")" ]; then
    cp "$file" root/lib/modules/
    basename "$file" >> root/lib/modules/order
  fi
done
for applet in cat mkdir; do ln -s busybox "root/bin/$applet"; done
# The kernel unpacks one archive after the other: busybox and /dev come from the first.
{ cat "$kernel/initrd.gz"; (cd root && find . | cpio -o -H newc --quiet | gzip -1); } > initrd
echo 'console=ttyS0,115200 quiet loglevel=3 tsc=reliable no_timer_check nokaslr random.trust_cpu=on panic=5' > options
objcopy --add-section .cmdline=options --change-section-vma .cmdline=0x30000 \
  --add-section .linux="$kernel/vmlinuz" --change-section-vma .linux=0x2000000 \
  --add-section .initrd=initrd --change-section-vma .initrd=0x4000000 \
  /usr/lib/systemd/boot/efi/linuxx64.efi.stub BOOTX64.EFI

truncate -s 40M disk.raw
printf 'label: gpt\nstart=2048, type=U\n' | sfdisk -q --no-reread --no-tell-kernel disk.raw
# The last mebibyte is left to the second copy of the partition table.
mformat -i disk.raw@@1M -T "$((38 * 2048))" ::
mmd -i disk.raw@@1M ::/EFI ::/EFI/BOOT
mcopy -i disk.raw@@1M BOOTX64.EFI ::/EFI/BOOT/BOOTX64.EFI
rm -r package download root initrd options BOOTX64.EFI
