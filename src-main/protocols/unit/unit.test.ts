import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { encodeGpt, encodeMbr } from '#test/support/partition-tables.ts'
import { sampleHeader, sampleMbr, samplePartitions, sampleUnit } from '#test/support/units.ts'
import { decodeUnit, unitProbeBytes, withinSize } from './unit.ts'

const fixture = (name: string): Buffer =>
  readFileSync(new URL(`../../../test/fixtures/gpt/${name}`, import.meta.url))
const noHeader = new Uint8Array(0)
const [headerPartition, dataPartition] = samplePartitions
const gpt = (...partitions: (typeof samplePartitions)[number][]): Buffer =>
  encodeGpt({ diskSectors: 32_768, partitions })

describe('a unit tells what it is by its first 2 MiB (A8, B3, B12)', () => {
  test('with a GPT that sfdisk wrote', () => {
    expect(decodeUnit(sampleUnit(fixture('gpt-start.bin')))).toEqual({
      state: 'ok',
      problems: [],
      table: 'gpt',
      hasHeaderPartition: true,
      partitions: [
        expect.objectContaining({ number: 1, type: 'afa682cc-4018-451c-93e5-75e1c647da01', firstLba: 2048 }),
        expect.objectContaining({ number: 2, type: '0fc63daf-8483-4772-8e79-3d69d8477de4', sectors: 26_624 }),
      ],
      header: sampleHeader(),
      generation: 1,
    })
  })

  test('with an MBR that sfdisk wrote', () => {
    expect(decodeUnit(sampleUnit(fixture('mbr-start.bin')))).toMatchObject({
      state: 'ok',
      problems: [],
      table: 'mbr',
      partitions: [
        { number: 1, type: '0xda', firstLba: 2048, sectors: 2048 },
        { number: 2, type: '0x83', firstLba: 4096 },
      ],
      header: sampleHeader(),
    })
  })

  test('a file or LUN that ends before its last partition does is damaged, by one sector too', () => {
    const unit = decodeUnit(sampleUnit())
    const neededBytes = (4096 + 26_624) * 512
    expect(withinSize(unit, neededBytes)).toEqual(unit)
    expect(withinSize(unit, neededBytes - 512)).toMatchObject({
      state: 'damaged',
      problems: [`It is cut off: its partitions need ${neededBytes} bytes, and it has ${neededBytes - 512}`],
      header: sampleHeader(),
    })
    const none = decodeUnit(new Uint8Array(unitProbeBytes))
    expect(withinSize(none, 0)).toEqual(none)
  })

  test('and reads no further', () => {
    const unit = sampleUnit()
    expect(unitProbeBytes).toBe(unit.length)
    expect(decodeUnit(Buffer.concat([unit, Buffer.alloc(4096, 0xff)]))).toEqual(decodeUnit(unit))
  })
})

describe('what is no unit is empty', () => {
  test.each([
    ['nothing', Buffer.alloc(0)],
    ['zeros', Buffer.alloc(unitProbeBytes)],
    [
      'a foreign GPT',
      sampleUnit(
        gpt({ ...dataPartition, type: dataPartition?.type ?? '', firstLba: 2048, sectors: 9 }),
        noHeader,
      ),
    ],
    ['a foreign MBR', sampleUnit(encodeMbr([{ type: '0x83', firstLba: 2048, sectors: 9 }]), noHeader)],
    ['a foreign 0xda', sampleUnit(encodeMbr([{ type: '0xda', firstLba: 63, sectors: 2048 }]), noHeader)],
  ])('%s', (_, bytes) => {
    expect(decodeUnit(bytes)).toMatchObject({ state: 'empty', problems: [], hasHeaderPartition: false })
  })

  test('a disk with another table over an old header, and the old header is mentioned', () => {
    const unit = decodeUnit(sampleUnit(encodeMbr([{ type: '0x83', firstLba: 2048, sectors: 9999 }])))
    expect(unit).toMatchObject({
      state: 'empty',
      problems: [expect.stringMatching(/names no header partition/)],
    })
  })
})

describe('a damaged unit is reported and never hidden', () => {
  test.each([
    ['marked by GPT, no header', sampleUnit(undefined, noHeader), /holds no header/],
    ['marked by MBR, no header', sampleUnit(sampleMbr(), noHeader), /holds no header/],
    ['the table was wiped', sampleUnit(Buffer.alloc(0)), /there is no partition table/],
    [
      'the protective MBR was wiped',
      sampleUnit(gpt(...samplePartitions).fill(0, 0, 512)),
      /partition table is damaged/,
    ],
    [
      'the header partition lies elsewhere',
      sampleUnit(
        gpt({ ...samplePartitions[0], type: headerPartition?.type ?? '', firstLba: 2047, sectors: 2048 }),
      ),
      /2048 sectors from LBA 2047/,
    ],
    [
      'the header partition has another length',
      sampleUnit(
        gpt({ ...samplePartitions[0], type: headerPartition?.type ?? '', firstLba: 2048, sectors: 2049 }),
      ),
      /2049 sectors/,
    ],
  ])('%s', (_, bytes, words) => {
    expect(decodeUnit(bytes)).toMatchObject({ state: 'damaged', problems: [expect.stringMatching(words)] })
  })

  test('when any byte of header or entries of the GPT is flipped; its own header is still shown', () => {
    const bytes = sampleUnit()
    for (const offset of [
      510,
      ...Array.from({ length: 92 }, (_, index) => 512 + index),
      1024,
      1030,
      1200,
      9000,
    ]) {
      bytes[offset] = (bytes[offset] ?? 0) ^ 4
      expect(decodeUnit(bytes), `byte ${offset}`).toMatchObject({ state: 'damaged', header: sampleHeader() })
      bytes[offset] = (bytes[offset] ?? 0) ^ 4
    }
    expect(decodeUnit(bytes).state).toBe('ok')
  })

  test('when the table is damaged and no header is left, by the type in the table', () => {
    const bytes = sampleUnit(undefined, noHeader)
    bytes[528] = 1
    expect(decodeUnit(bytes)).toMatchObject({ state: 'damaged', hasHeaderPartition: true, partitions: [] })
  })

  test('when it is cut off anywhere', () => {
    const bytes = sampleUnit()
    const cuts = [1040, 5000, 17_407, 17_408, 1_048_576, 1_048_583, 1_048_584, 1_048_600, 1_049_400]
    for (const length of cuts)
      expect(decodeUnit(bytes.subarray(0, length)).state, String(length)).toBe('damaged')
    expect(decodeUnit(bytes.subarray(0, 1_060_000))).toMatchObject({
      state: 'ok',
      problems: [expect.stringMatching(/second copy of the header is missing/)],
    })
  })
})
