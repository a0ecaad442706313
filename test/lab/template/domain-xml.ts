export interface TemplateDomain {
  readonly name: string
  readonly uuid: string
  readonly memoryMiB: number
  /** Raw image, absolute path on the host. */
  readonly disk: string
}

/**
 * A domain for QEMU without hardware help: this works in any virtual machine. SMBIOS tells the guest its name.
 * error_policy: a VM on a full volume is to stop, not to lose what it writes.
 */
export const domainXml = (vm: TemplateDomain): string => `<domain type='qemu'>
  <name>${vm.name}</name>
  <uuid>${vm.uuid}</uuid>
  <memory unit='MiB'>${vm.memoryMiB}</memory>
  <vcpu>1</vcpu>
  <sysinfo type='smbios'>
    <system>
      <entry name='serial'>ds=nocloud;h=${vm.name}</entry>
    </system>
  </sysinfo>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <boot dev='hd'/>
    <smbios mode='sysinfo'/>
  </os>
  <features>
    <acpi/>
  </features>
  <cpu mode='custom' match='exact'>
    <model>qemu64</model>
  </cpu>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='writeback' discard='unmap' error_policy='stop'/>
      <source file='${vm.disk}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='user'>
      <mac address='52:54:00:00:00:01'/>
      <model type='virtio'/>
    </interface>
    <serial type='pty'>
      <target port='0'/>
    </serial>
    <console type='pty'/>
    <memballoon model='none'/>
  </devices>
</domain>
`
