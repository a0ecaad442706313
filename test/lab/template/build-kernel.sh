#!/bin/sh
# build-kernel.sh OUT INIT
# OUT/vmlinuz, OUT/initrd.gz, OUT/lib/modules/VERSION: Debian's cloud kernel, downloaded and extracted, never installed.
set -eu
out=$1 init=$2
cd "$out"
package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: //p' | head -n 1)
if [ -z "$package" ]; then echo "apt knows no linux-image-cloud-amd64; run: apt-get update" >&2; exit 1; fi
mkdir package download initrd
chmod 777 download # apt drops its rights for downloading
(cd download && apt-get -q download "$package")
dpkg-deb -x download/*.deb package
mv package/boot/vmlinuz-* vmlinuz
mkdir lib
if [ -d package/usr/lib/modules ]; then mv package/usr/lib/modules lib/modules; else mv package/lib/modules lib/modules; fi
version=$(ls lib/modules)
depmod -b "$out" "$version"

mkdir -p initrd/bin initrd/dev initrd/proc initrd/sys initrd/root initrd/lib/modules
cp "$(command -v busybox)" initrd/bin/busybox
for applet in sh mount insmod sleep switch_root findfs echo; do ln -s busybox "initrd/bin/$applet"; done
cp "$init" initrd/init
chmod 755 initrd/init
for module in virtio_pci virtio_blk virtio_net ext4 ahci sd_mod; do
  # Built into the kernel or not there: modprobe says "builtin" or fails, and there is nothing to carry.
  modprobe -d "$out" -S "$version" --show-depends "$module" 2> /dev/null || true
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | while read -r file; do
  name=$(basename "$file")
  if [ ! -e "initrd/lib/modules/$name" ]; then
    cp "$file" "initrd/lib/modules/$name"
    echo "$name" >> initrd/lib/modules/order
  fi
done
(cd initrd && find . | cpio -o -H newc --quiet | gzip -1) > initrd.gz
rm -r package download initrd
