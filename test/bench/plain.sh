#!/bin/sh
# What a person would type: the device commands of a deployment and of a conventional one (allocate, format, copy) over
# ssh connections that are open already. No plan, no journal, no checks: the floor for the console.
#   plain.sh deploy NAME TID        snapshot + clone + LUN + map + attach + mount + define
#   plain.sh copy NAME TID BYTES    file + LUN + map + attach + partition + format + mount + copy + flush + define
#   plain.sh remove NAME TID
# Environment: ARRAY, HOST (ssh commands), VOLUME, CONTROL, PORTAL, INITIATOR, CONTAINER, WORK (on the host), SOURCE (on
# the host), DOMAIN (definition with NAME in it)
set -eu
verb=$1 name=$2 tid=$3
target=iqn.2026-11.plain.bench:$name

lun="tgtadm -C $CONTROL --lld iscsi --op new --mode target --tid $tid -T $target &&
tgtadm -C $CONTROL --lld iscsi --op new --mode logicalunit --tid $tid --lun 1 -b $VOLUME/clones/$name.img &&
tgtadm -C $CONTROL --lld iscsi --op update --mode target --tid $tid --name MaxXmitDataSegmentLength --value 262144 &&
tgtadm -C $CONTROL --lld iscsi --op update --mode target --tid $tid --name MaxRecvDataSegmentLength --value 262144 &&
tgtadm -C $CONTROL --lld iscsi --op update --mode logicalunit --tid $tid --lun 1 --params scsi_sn=$name,thin_provisioning=1 &&
tgtadm -C $CONTROL --lld iscsi --op bind --mode target --tid $tid --initiator-name $INITIATOR"

attach="set -e; mkdir -p $WORK/$name/mnt; : > $WORK/$name/disk
qemu-nbd --fork --persistent -k $WORK/$name/nbd --cache=none --discard=unmap --pid-file $WORK/$name/nbd.pid \
 --image-opts driver=iscsi,transport=tcp,portal=$PORTAL,target=$target,lun=1,initiator-name=$INITIATOR > /dev/null 2>&1
setsid nbdfuse -C 1 -P $WORK/$name/fuse.pid $WORK/$name/disk --unix $WORK/$name/nbd < /dev/null > /dev/null 2>&1 &
until [ -s $WORK/$name/fuse.pid ] && [ -s $WORK/$name/disk ]; do sleep 0.01; done
loop=\$(losetup --find --show --direct-io=on $WORK/$name/disk); partx -u \$loop 2> /dev/null || true"

define() {
  sed "s/NAME/$name/g" "$DOMAIN" | $HOST "virsh -q -c qemu:///system define /dev/stdin"
}

case $verb in
deploy)
  $ARRAY "cp --reflink=always $CONTAINER $VOLUME/snapshots/$name.snap && chmod 0444 $VOLUME/snapshots/$name.snap &&
sync $VOLUME/snapshots/$name.snap && cp --reflink=always $VOLUME/snapshots/$name.snap $VOLUME/clones/$name.img &&
chmod 0600 $VOLUME/clones/$name.img && sync $VOLUME/clones/$name.img && $lun"
  $HOST "$attach; mount -o noatime \${loop}p2 $WORK/$name/mnt"
  define
  ;;
copy)
  $ARRAY "truncate -s $4 $VOLUME/clones/$name.img && $lun"
  # prints the seconds of copying and flushing alone
  $HOST "$attach
printf 'label: gpt\n1 : start=4096, type=L\n' | sfdisk -q --no-reread --no-tell-kernel \$loop > /dev/null; partx -u \$loop
mkfs.ext4 -q -b 4096 -i 1048576 -m 0 -E lazy_itable_init=0,lazy_journal_init=1,nodiscard \${loop}p1
mount -o noatime \${loop}p1 $WORK/$name/mnt
begin=\$(date +%s%N); cp --sparse=always $SOURCE/* $WORK/$name/mnt/; sync -f $WORK/$name/mnt; end=\$(date +%s%N)
echo \$(( (end - begin) / 1000000 ))"
  define
  ;;
remove)
  $HOST "virsh -q -c qemu:///system undefine $name; umount $WORK/$name/mnt
loop=\$(losetup -n -O NAME -j $WORK/$name/disk); partx -d \$loop; losetup -d \$loop; umount $WORK/$name/disk
kill \$(cat $WORK/$name/fuse.pid) 2> /dev/null; kill \$(cat $WORK/$name/nbd.pid)
while kill -0 \$(cat $WORK/$name/nbd.pid) 2> /dev/null; do sleep 0.01; done
rm -rf $WORK/$name"
  $ARRAY "tgtadm -C $CONTROL --lld iscsi --op delete --mode logicalunit --tid $tid --lun 1
tgtadm -C $CONTROL --lld iscsi --op delete --mode target --tid $tid
rm -f $VOLUME/clones/$name.img $VOLUME/snapshots/$name.snap"
  ;;
esac
