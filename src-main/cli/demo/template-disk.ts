import { Buffer } from 'node:buffer'

/**
 * boot-sector.S, assembled: the beginning of a disk that a BIOS starts. It prints "VMREADY <name> <uuid> boots=<n>" on
 * the first serial port, counts its starts in sector 1 of the disk, and sleeps. A test assembles the source and compares.
 */
const code = `
ea057c000031c08ed88ec08ed0bc007cfcfb8816787d31d2b8e300cd14b80102e8f100fe06007eb80103e8e700be647d
e81601b800f08ee031db6466813f5f534d5f74126466813f5f534d33741583c31075e7e9a50064668b471864660fb74f
16eb0a64668b471064668b4f0ca38e7d66c1e810a2907d8826937d41d1e9be7c7db487cd15b800108ed831f689f30fb6
470101c6803f01740d803f7f745dac0a0475fb46ebe68a4f0784c97429fec97407ac84c075fbebf5813c683d7407ac84
c075f5eb1183c602ac84c074093c3b7405e86100ebf2b020e85a00be4f7d31c08ec026ac3cff74133c2d740a89c78a41
08e82f00ebe8e83c00ebe331c08ed8be6d7de84400a0007ee81800be757de83800f4ebfdbb007eb9020031d28a16787d
cd13c350c0e804e8030058240f04303c39760204275250bafd03eca82074fb58baf803ee5ac3e8ecffac84c075f8c303
0201002d05042d07062d08092d0a0b0c0d0e0fff564d5245414459200020626f6f74733d000d0a00008d740000000000
000000000000000000000000ffff000000930000ffff0000019300000000000000000000000000000000000000000000
`

const sectorBytes = 512
const partitionTableOffset = 446
const partitionFirstLba = 2048
/** "Non-file-system data": no operating system mounts it. */
const partitionType = 0xda
/** Sectors of the partition that hold something: enough to see that data moves. */
const filledSectors = 4096

export const templateDiskBytes = 4 * 1024 * 1024
export const readySign = 'VMREADY'

/** A small bootable disk with a partition table; each filled sector says which one it is. */
export function templateDisk(): Uint8Array {
  const disk = Buffer.alloc(templateDiskBytes)
  Buffer.from(code.replaceAll('\n', ''), 'hex').copy(disk)
  const entry = disk.subarray(partitionTableOffset, partitionTableOffset + 16)
  entry[0] = 0x80
  entry[4] = partitionType
  entry.writeUInt32LE(partitionFirstLba, 8)
  entry.writeUInt32LE(templateDiskBytes / sectorBytes - partitionFirstLba, 12)
  disk.set([0x55, 0xaa], sectorBytes - 2)
  for (let lba = partitionFirstLba; lba < partitionFirstLba + filledSectors; lba++)
    disk.write(`Gantry demo, sector ${lba}\n`, lba * sectorBytes, 'latin1')
  return disk
}
