import { createHash } from 'node:crypto'
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exec } from '../exec.ts'

/** An OVF 1.0 descriptor (DMTF DSP0243) for one disk, one processor and this memory. */
const ovfXml = (name: string, memoryMiB: number, vmdk: string, sizeBytes: number, capacityBytes: number) =>
  `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
  <References>
    <File ovf:id="file1" ovf:href="${vmdk}" ovf:size="${sizeBytes}"/>
  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
    <Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="${capacityBytes}" ovf:capacityAllocationUnits="byte" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <VirtualSystem ovf:id="${name}">
    <Info>A virtual machine</Info>
    <Name>${name}</Name>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>${name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType>
      </System>
      <Item>
        <rasd:ElementName>1 virtual CPU</rasd:ElementName>
        <rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>1</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>
        <rasd:ElementName>${memoryMiB} MB of memory</rasd:ElementName>
        <rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>${memoryMiB}</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:Address>0</rasd:Address>
        <rasd:ElementName>SATA controller 0</rasd:ElementName>
        <rasd:InstanceID>3</rasd:InstanceID>
        <rasd:ResourceSubType>AHCI</rasd:ResourceSubType>
        <rasd:ResourceType>20</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>0</rasd:AddressOnParent>
        <rasd:ElementName>Disk 0</rasd:ElementName>
        <rasd:HostResource>ovf:/disk/disk1</rasd:HostResource>
        <rasd:InstanceID>4</rasd:InstanceID>
        <rasd:Parent>3</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType>
      </Item>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`

/** Writes `<dir>/<name>.ova` around a streamOptimized VMDK of the same folder; members in the order of DSP0243 5.3. */
export async function writeOva(
  dir: string,
  vm: {
    readonly name: string
    readonly memoryMiB: number
    readonly vmdk: string
    readonly capacityBytes: number
  },
): Promise<void> {
  const disk = join(dir, vm.vmdk)
  const ovf = `${vm.name}.ovf`
  const manifest = `${vm.name}.mf`
  writeFileSync(join(dir, ovf), ovfXml(vm.name, vm.memoryMiB, vm.vmdk, statSync(disk).size, vm.capacityBytes))
  const sums = [ovf, vm.vmdk].map((file) => {
    const sum = createHash('sha256')
      .update(readFileSync(join(dir, file)))
      .digest('hex')
    return `SHA256(${file})= ${sum}\n`
  })
  writeFileSync(join(dir, manifest), sums.join(''))
  await exec('tar', ['--format=ustar', '-C', dir, '-cf', join(dir, `${vm.name}.ova`), ovf, manifest, vm.vmdk])
  for (const part of [ovf, manifest]) rmSync(join(dir, part))
}
