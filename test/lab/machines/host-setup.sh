# Read by machine.sh on the host: a libvirt of its own. Its folders are in the host's folder; /etc is private already.
mkdir /run/libvirt
for part in lib log cache; do
  mkdir -p "$root/libvirt/$part" "/var/$part/libvirt"
  mount --bind "$root/libvirt/$part" "/var/$part/libvirt"
done
mkdir -p /var/lib/libvirt/qemu /var/lib/libvirt/images /var/lib/libvirt/boot /var/log/libvirt/qemu

if [ ! -e /etc/libvirt/gantry-lab ]; then
  # Domains, networks and pools of the machine outside are none of this host's business.
  rm -rf /etc/libvirt/qemu /etc/libvirt/storage /etc/libvirt/secrets
  mkdir -p /etc/libvirt/qemu
  cat > /etc/libvirt/qemu.conf <<'END'
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = [ ]
cgroup_controllers = [ ]
stdio_handler = "file"
END
  cat > /etc/libvirt/libvirtd.conf <<END
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "$(cat /proc/sys/kernel/random/uuid)"
log_outputs = "2:file:$root/log/libvirtd.log"
END
  mkdir -p /etc/iscsi
  printf 'InitiatorName=%s\n' "$(cat "$root/iqn")" > /etc/iscsi/initiatorname.iscsi
  : > /etc/libvirt/gantry-lab
fi
