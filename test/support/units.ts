import { Buffer } from 'node:buffer'
import { crc32c } from '#main/protocols/crc/crc32c.ts'
import { encodeHeaderPartition } from '#main/protocols/unit/header-partition.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { encodeGpt, encodeMbr } from './partition-tables.ts'
import type { TestPartition } from './partition-tables.ts'

export const sampleUnitId = '5f0c2b1e-8d7a-4c36-9b41-0a1b2c3d4e5f'

export const sampleHeader = (changes: Partial<UnitHeader> = {}): UnitHeader => ({
  unitId: sampleUnitId,
  role: 'container',
  layout: 'files',
  vm: {
    name: 'web',
    uuid: '11111111-2222-4333-8444-555555555555',
    hypervisor: 'qemu',
    memoryBytes: 134_217_728,
    cpus: 1,
    configuration: { format: 'libvirt-xml', text: '<domain type="qemu"><name>web – Größe</name></domain>' },
  },
  osType: 'linux',
  fileSystem: { type: 'ext4', uuid: '0b1f5c1e-0000-4000-8000-000000000001', label: 'web' },
  disks: [{ index: 0, format: 'raw', path: 'disk0.img', sizeBytes: 536_870_912 }],
  files: [{ path: 'disk0.img', sizeBytes: 536_870_912, sha256: 'ab'.repeat(32) }],
  secondaryUnits: [],
  stagedAt: '2026-11-21T09:00:00Z',
  stagedFrom: 'image disk0.img on host lab',
  stagedBy: { product: 'gantry', version: '0.1.0' },
  notes: '',
  ...changes,
})

export const samplePartitions: readonly TestPartition[] = [
  {
    type: 'afa682cc-4018-451c-93e5-75e1c647da01',
    firstLba: 2048,
    sectors: 2048,
    name: 'gantry-header',
  },
  { type: '0fc63daf-8483-4772-8e79-3d69d8477de4', firstLba: 4096, sectors: 26_624, name: 'container' },
]

/** The first 2 MiB of a container file. */
export function sampleUnit(
  table: Buffer = encodeGpt({ diskSectors: 32_768, partitions: samplePartitions }),
  headerPartition: Uint8Array = encodeHeaderPartition({
    unitId: sampleUnitId,
    generation: 1,
    header: sampleHeader(),
  }),
): Buffer {
  const bytes = Buffer.alloc(2 * 1024 * 1024)
  table.copy(bytes)
  bytes.set(headerPartition, 1024 * 1024)
  return bytes
}

export const sampleMbr = (): Buffer =>
  encodeMbr([
    { type: '0xda', firstLba: 2048, sectors: 2048 },
    { type: '0x83', firstLba: 4096, sectors: 28_672 },
  ])

/** Makes the fixed part of a header copy consistent again after it was changed. */
export function repairCopyChecksum(copy: Uint8Array): void {
  Buffer.from(copy.buffer, copy.byteOffset, copy.byteLength).writeUInt32LE(crc32c(copy.subarray(0, 72)), 72)
}
