import { assert, constantFrom, nat, property, record, uint8Array } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KiB, MiB } from '#shared/units/bytes.ts'
import { encodeMbr } from '#test/support/partition-tables.ts'
import { sampleHeader, sampleUnitId } from '#test/support/units.ts'
import { encodeGpt } from '../gpt/encode.ts'
import { encodeHeaderPartition } from '../unit/header-partition.ts'
import { planDisksLayout } from '../unit/disks-layout.ts'
import { classifyLun, type LunClass } from './classify.ts'
import { findVms, type ScannedLun } from './find-vms.ts'

const guid = '01234567-89ab-4cde-8f01-23456789abcd'
const diskGuid = sampleUnitId
const sizeBytes = 8 * MiB

const classify = (disk: Buffer): LunClass =>
  classifyLun({ first: disk.subarray(0, 2 * MiB), last: disk.subarray(-MiB), sizeBytes: disk.length })

function gptDisk(...types: string[]): Buffer {
  const disk = Buffer.alloc(sizeBytes)
  const partitions = types.map((type, index) => ({
    type,
    guid,
    firstLba: 2048 + index * 2048,
    sectors: 2048,
    name: '',
  }))
  const { start, end } = encodeGpt({ diskBytes: sizeBytes, diskGuid, partitions })
  disk.set(start)
  disk.set(end, sizeBytes - end.length)
  return disk
}

function unitDisk(changes: Parameters<typeof sampleHeader>[0] = {}): Buffer {
  const { base } = planDisksLayout({ contents: 'all', disks: [], memoryBytes: MiB })
  const disk = Buffer.alloc(base.sizeBytes)
  const partitions = base.partitions.map((partition) => ({ ...partition, guid }))
  const { start, end } = encodeGpt({ diskBytes: disk.length, diskGuid, partitions })
  const { fileSystem: _none, ...header } = sampleHeader({
    role: 'base',
    layout: 'disks',
    files: [],
    ...changes,
  })
  disk.set(start)
  disk.set(encodeHeaderPartition({ unitId: header.unitId, generation: 1, header }), MiB)
  disk.set(end, disk.length - end.length)
  return disk
}

const mbrDisk = (...partitions: Parameters<typeof encodeMbr>[0]): Buffer => {
  const disk = Buffer.alloc(sizeBytes)
  encodeMbr(partitions).copy(disk)
  return disk
}

const linuxData = '0fc63daf-8483-4772-8e79-3d69d8477de4'
const efi = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'

describe('B5: what a LUN is', () => {
  test('zeros are empty, any other byte at either end is not', () => {
    expect(classify(Buffer.alloc(sizeBytes))).toEqual({ kind: 'empty' })
    assert(
      property(nat(MiB - 1), constantFrom('first', 'last'), (at, end) => {
        const disk = Buffer.alloc(sizeBytes)
        disk[end === 'first' ? at : sizeBytes - 1 - at] = 1
        expect(classify(disk)).toEqual({ kind: 'other', content: ['data of an unknown kind'] })
      }),
      { numRuns: 20 },
    )
  })

  test.each([
    ['EFI system partition', gptDisk(efi, linuxData), 'an EFI system partition'],
    ['BIOS boot partition', gptDisk('21686148-6449-6e6f-744e-656564454649'), 'a BIOS boot partition'],
    [
      'Linux root partition',
      gptDisk('4f68bce3-e8cd-4db1-96e7-fbcaf984b709'),
      'a Linux root partition (x86-64)',
    ],
    [
      'EFI partition in an MBR',
      mbrDisk({ type: '0xef', firstLba: 2048, sectors: 8 }),
      'an EFI system partition',
    ],
  ])('a boot disk by its %s', (_, disk, sign) => {
    expect(classify(disk)).toMatchObject({ kind: 'boot', signs: [sign] })
  })

  test('a boot disk by an active partition, also when the MBR is damaged', () => {
    const disk = mbrDisk({ type: '0x83', firstLba: 2048, sectors: 100 })
    expect(classify(disk)).toEqual({ kind: 'other', content: ['MBR with 1 partition'] })
    disk[446] = 0x80
    expect(classify(disk)).toMatchObject({ kind: 'boot', signs: ['an active MBR partition'] })
    disk.writeUInt32LE(0, 454)
    expect(classify(disk)).toMatchObject({ kind: 'boot', content: [expect.stringMatching(/damaged/)] })
  })

  test('a boot disk whose first sectors were wiped is one by its backup GPT', () => {
    const disk = gptDisk(efi)
    disk.fill(0, 0, 2 * MiB)
    expect(classify(disk)).toMatchObject({
      kind: 'boot',
      content: ['GPT with 1 partition, its primary copy lost'],
    })
  })

  test('other tables are named, damaged ones too', () => {
    expect(classify(gptDisk(linuxData, linuxData))).toEqual({
      kind: 'other',
      content: ['GPT with 2 partitions'],
    })
    const damaged = gptDisk(linuxData)
    damaged.fill(0xff, 1024, 2048)
    damaged.fill(0xff, sizeBytes - 2048, sizeBytes - 1024)
    expect(classify(damaged)).toMatchObject({ kind: 'other', content: [expect.stringMatching(/GPT/)] })
    const onlyEnd = Buffer.alloc(sizeBytes)
    onlyEnd.write('EFI PART', sizeBytes - 512)
    expect(classify(onlyEnd)).toEqual({ kind: 'other', content: ['GPT, damaged'] })
  })

  test.each<[string, number, string]>([
    ['ext2/3/4 file system', 0x438, '53ef'],
    ['XFS file system', 0, '58465342'],
    ['NTFS file system', 3, '4e54465320202020'],
    ['Btrfs file system', 0x10040, Buffer.from('_BHRfS_M').toString('hex')],
    ['LVM physical volume', 512, Buffer.from('LABELONE').toString('hex')],
    ['swap area', 4086, Buffer.from('SWAPSPACE2').toString('hex')],
    ['LUKS volume', 0, '4c554b53babe'],
    ['VMFS volume', MiB, '0dd001c0'],
    ['ZFS pool member', 132 * KiB, '0cb1ba0000000000'],
    ['ZFS pool member', 132 * KiB, '0000000000bab10c'],
    ['Linux RAID member', 4096, 'fc4e2ba9'],
    ['Linux RAID member', sizeBytes - 8 * KiB, 'fc4e2ba9'],
    ['Linux RAID member', sizeBytes - 64 * KiB, 'fc4e2ba9'],
  ])('%s by its magic at %d', (name, at, hex) => {
    const disk = Buffer.alloc(sizeBytes)
    disk.write(hex, at, 'hex')
    expect(classify(disk)).toEqual({ kind: 'other', content: [name] })
  })

  test('the boot sector of NTFS is no partition table', () => {
    const disk = Buffer.alloc(sizeBytes, 0)
    disk.fill(0x77, 84, 510)
    disk.write('NTFS    ', 3)
    disk.writeUInt16LE(0xaa55, 510)
    disk[446] = 0x80
    expect(classify(disk)).toEqual({ kind: 'other', content: ['NTFS file system'] })
  })

  test('a RAID member that is also a boot disk is a boot disk', () => {
    const disk = mbrDisk({ type: '0xfd', firstLba: 2048, sectors: 100 })
    disk[446] = 0x80
    disk.write('fc4e2ba9', sizeBytes - 8 * KiB, 'hex')
    expect(classify(disk)).toMatchObject({
      kind: 'boot',
      content: ['MBR with 1 partition', 'Linux RAID member'],
    })
  })
})

describe('units', () => {
  test('of a VM and of a template', () => {
    expect(classify(unitDisk())).toMatchObject({ kind: 'vm', unit: { state: 'ok', problems: [] } })
    expect(classify(unitDisk({ role: 'container' }))).toMatchObject({ kind: 'container' })
  })

  test('damaged in any way are shown as damaged, never as empty or other', () => {
    const wipes: [string, (disk: Buffer) => void][] = [
      ['first sectors zero', (disk) => disk.fill(0, 0, 34 * 512)],
      ['header zero', (disk) => disk.fill(0, MiB, 2 * MiB)],
      ['first two MiB zero', (disk) => disk.fill(0, 0, 2 * MiB)],
      ['first 512 KiB of garbage', (disk) => disk.fill(0x5a, 0, 512 * KiB)],
      ['first two MiB of garbage', (disk) => disk.fill(0x5a, 0, 2 * MiB)],
    ]
    for (const [name, wipe] of wipes) {
      const disk = unitDisk()
      wipe(disk)
      const found = classify(disk)
      expect(found.kind, name).toBe('damaged')
      expect('unit' in found && found.unit.problems.length, name).toBeGreaterThan(0)
    }
  })

  test('with a damaged backup GPT are units with a problem', () => {
    const disk = unitDisk()
    disk.fill(0, disk.length - 512)
    expect(classify(disk)).toMatchObject({
      kind: 'vm',
      unit: { problems: [expect.stringMatching(/backup GPT is damaged/)] },
    })
  })

  test('that were given up for another table are not units', () => {
    const disk = unitDisk()
    disk.fill(0, MiB, 2 * MiB)
    encodeMbr([{ type: '0x83', firstLba: 63, sectors: 100 }]).copy(disk)
    disk.fill(0, 512, 34 * 512)
    expect(classify(disk)).toEqual({ kind: 'other', content: ['MBR with 1 partition'] })
  })
})

test('any ends at all have a class', () => {
  const ends = record({
    first: uint8Array({ maxLength: 3000 }),
    last: uint8Array({ maxLength: 3000 }),
    sizeBytes: nat(),
  })
  assert(
    property(ends, (input) => {
      expect(classifyLun(input).kind).toBeTypeOf('string')
    }),
  )
})

describe('B12: VMs and their secondary units', () => {
  const lun = (id: string, scsiIds: string[], disk: Buffer): ScannedLun => ({
    id,
    scsiIds,
    found: classify(disk),
  })
  const base = unitDisk({
    secondaryUnits: [
      { scsiId: 'naa.6001', index: 1 },
      { scsiId: 'naa.6002', index: 2 },
    ],
  })
  const secondary = (index: number, more: Parameters<typeof sampleHeader>[0] = {}): Buffer =>
    unitDisk({
      unitId: '5f0c2b1e-8d7a-4c36-9b41-0a1b2c3d4e60',
      role: 'secondary',
      disks: [{ index, format: 'raw', partition: 2, sizeBytes: 512 }],
      ...more,
    })

  test('are associated by SCSI identity, over any order and several paths', () => {
    const vms = findVms([
      lun('c', ['t10.x', 'naa.6002'], secondary(2)),
      lun('a', ['naa.6000'], base),
      lun('b', ['naa.6001'], secondary(1)),
      lun('b2', ['naa.6001'], secondary(1)),
      lun('a2', ['naa.6000'], base),
      lun('d', ['naa.7000'], Buffer.alloc(sizeBytes)),
    ])
    expect(vms).toEqual([
      {
        name: 'web',
        uuid: '11111111-2222-4333-8444-555555555555',
        base: ['a', 'a2'],
        secondaries: [
          { index: 1, scsiId: 'naa.6001', luns: ['b', 'b2'] },
          { index: 2, scsiId: 'naa.6002', luns: ['c'] },
        ],
      },
    ])
  })

  test.each<[string, ScannedLun[], RegExp]>([
    ['missing', [], /No LUN with this identity/],
    ['empty', [lun('b', ['naa.6001'], Buffer.alloc(sizeBytes))], /no secondary unit/],
    [
      'of another VM',
      [lun('b', ['naa.6001'], secondary(1, { vm: { ...sampleHeader().vm, uuid: guid } }))],
      /belongs to VM/,
    ],
    ['another disk', [lun('b', ['naa.6001'], secondary(2))], /does not hold disk 1/],
  ])('a secondary unit that is %s is named', (_, others, words) => {
    const [vm] = findVms([lun('a', ['naa.6000'], base), ...others])
    expect(vm?.secondaries[0]).toMatchObject({ index: 1, problem: expect.stringMatching(words) })
  })

  test('a damaged secondary unit is named', () => {
    const damaged = secondary(1)
    damaged.fill(0, MiB, 2 * MiB)
    const [vm] = findVms([lun('a', ['naa.6000'], base), lun('b', ['naa.6001'], damaged)])
    expect(vm?.secondaries[0]).toMatchObject({ luns: ['b'], problem: 'Its unit is damaged' })
  })

  test('secondary units without their base are listed under their VM', () => {
    expect(
      findVms([lun('b', ['naa.6001'], secondary(1)), lun('c', ['naa.6002'], secondary(2))]),
    ).toMatchObject([
      {
        name: 'web',
        base: [],
        secondaries: [
          { index: 1, luns: ['b'] },
          { index: 2, luns: ['c'] },
        ],
      },
    ])
  })

  test('two LUNs with the same unit but other identities are two VMs', () => {
    expect(findVms([lun('a', ['naa.6000'], base), lun('x', ['naa.9000'], base)])).toHaveLength(2)
  })
})
