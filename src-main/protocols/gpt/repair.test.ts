import { Buffer } from 'node:buffer'
import { array, assert, boolean, constantFrom, integer, nat, property, record } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeGpt as encodeLyingGpt, encodeMbr } from '#test/support/partition-tables.ts'
import { encodeGpt, type NewGpt } from './encode.ts'
import { decodeBackupGpt, decodePrimaryGpt } from './gpt.ts'
import { planGptRepair, type GptRepair } from './repair.ts'

const diskGuid = '6b1a2f60-1c1e-4b57-9c5e-0a1b2c3d4e5f'
const linux = '0fc63daf-8483-4772-8e79-3d69d8477de4'
const partition = (firstLba: number, sectors: number, name = 'data'): NewGpt['partitions'][number] => ({
  type: linux,
  guid: '01234567-89ab-4cde-8f01-23456789abcd',
  firstLba,
  sectors,
  name,
})
const diskBytes = 512 * 1024

function makeDisk(gpt: Partial<NewGpt> = {}): Buffer {
  const whole = { diskBytes, diskGuid, partitions: [partition(34, 100), partition(200, 10)], ...gpt }
  const disk = Buffer.alloc(whole.diskBytes)
  const { start, end } = encodeGpt(whole)
  disk.set(start, 0)
  disk.set(end, whole.diskBytes - end.length)
  return disk
}

const plan = (disk: Buffer): GptRepair => planGptRepair(disk, disk.subarray(-64 * 512), disk.length)

function applied(disk: Buffer, { writes }: GptRepair): Buffer {
  const repaired = Buffer.from(disk)
  for (const { offsetBytes, bytes } of writes) repaired.set(bytes, offsetBytes)
  return repaired
}

const resized = (disk: Buffer, sizeBytes: number): Buffer => {
  const other = Buffer.alloc(sizeBytes)
  disk.copy(other, 0, 0, Math.min(sizeBytes, disk.length))
  return other
}

const refused = (words: RegExp): unknown =>
  expect.objectContaining({ code: 'device-rejected', message: expect.stringMatching(words) })

describe('a new table', () => {
  test('is what another encoder makes, but for the disk’s and the partitions’ ids', () => {
    const parts = [partition(34, 100, 'Größe'), partition(200, 10)]
    const { start } = encodeGpt({ diskBytes, diskGuid, partitions: parts })
    const other = encodeLyingGpt({ diskSectors: 1024, partitions: parts })
    const { header, partitions } = decodePrimaryGpt(start)
    const expected = decodePrimaryGpt(other)
    expect(partitions.map(({ guid: _guid, ...rest }) => rest)).toEqual(
      expected.partitions.map(({ guid: _guid, ...rest }) => rest),
    )
    expect({ ...header, diskGuid: '', entriesCrc: 0 }).toEqual({
      ...expected.header,
      diskGuid: '',
      entriesCrc: 0,
    })
  })

  test.each([
    ['before the usable sectors', [partition(33, 10)]],
    ['behind them', [partition(990, 2)]],
    ['over another', [partition(100, 10), partition(109, 2)]],
    ['empty', [partition(100, 0)]],
    ['too many', Array.from({ length: 129 }, (_, index) => partition(34 + index, 1))],
  ])('refuses partitions that are %s', (_, partitions) => {
    expect(() => encodeGpt({ diskBytes, diskGuid, partitions })).toThrow(
      expect.objectContaining({ code: 'bad-request' }),
    )
  })
})

test('a disk that is in order needs nothing', () => {
  expect(plan(makeDisk())).toMatchObject({ problems: [], writes: [] })
})

test('what other tools write in other places is in order too', () => {
  const entries = { diskSectors: 1024, partitions: [partition(100, 10)] }
  const disk = Buffer.alloc(diskBytes)
  disk.set(encodeLyingGpt(entries), 0)
  disk.set(encodeLyingGpt(entries, true), diskBytes - 33 * 512)
  disk.writeUInt32LE(0xffffffff, 458)
  expect(plan(disk).writes).toEqual([])
})

describe('each byte of either copy', () => {
  const disk = makeDisk()
  const copies: [string, number, number, 'primary' | 'backup'][] = [
    ['primary header', 512, 92, 'backup'],
    ['primary entries', 1024, 256, 'backup'],
    ['backup entries', diskBytes - 33 * 512, 256, 'primary'],
    ['backup header', diskBytes - 512, 92, 'primary'],
  ]
  test.each(copies)('of the %s is made good from the other copy', (_, from, length, source) => {
    for (let at = from; at < from + length; at++) {
      const damaged = Buffer.from(disk)
      damaged[at] = (damaged[at] ?? 0) ^ 0x10
      const repair = plan(damaged)
      if (repair.source !== source || repair.problems.length !== 1)
        throw new Error(`byte ${at}: ${JSON.stringify(repair)}`)
      if (!applied(damaged, repair).equals(disk)) throw new Error(`byte ${at} is not made good`)
    }
  })
})

test('both copies damaged: nothing is written, and both are told', () => {
  const disk = makeDisk()
  disk[600] = 1
  disk[diskBytes - 400] = 1
  disk[530] = 0xff
  disk[diskBytes - 500] = 0xff
  expect(() => plan(disk)).toThrow(
    expect.objectContaining({
      code: 'device-rejected',
      message: expect.stringMatching(/^Both copies/),
      facts: { primary: expect.stringMatching(/CRC/), backup: expect.stringMatching(/CRC/) },
    }),
  )
})

describe('the first sector', () => {
  test('lost, it is made again; boot code stays', () => {
    const disk = makeDisk()
    disk.fill(0x90, 0, 440)
    const damaged = Buffer.from(disk)
    damaged.fill(0, 440, 512)
    const repair = plan(damaged)
    expect(repair.problems).toEqual([expect.stringMatching(/protective MBR is damaged/)])
    expect(applied(damaged, repair)).toEqual(disk)
  })

  test('with a table of its own is for a person to decide', () => {
    const disk = makeDisk()
    encodeMbr([{ type: '0x83', firstLba: 63, sectors: 100 }]).copy(disk)
    expect(() => plan(disk)).toThrow(refused(/MBR partition table/))
  })

  test('of a hybrid table stays as it is', () => {
    const disk = makeDisk()
    encodeMbr([
      { type: '0xee', firstLba: 1, sectors: 33 },
      { type: '0x83', firstLba: 34, sectors: 100 },
    ]).copy(disk)
    expect(plan(disk).writes).toEqual([])
  })
})

describe('a disk of another size', () => {
  test('grown: the backup moves to the new end, and the new space can be used', () => {
    const grown = resized(makeDisk(), 2 * diskBytes)
    const repair = plan(grown)
    expect(repair.problems).toEqual([expect.stringMatching(/has grown/)])
    const repaired = applied(grown, repair)
    expect(plan(repaired)).toMatchObject({ problems: [], writes: [] })
    expect(decodePrimaryGpt(repaired).header).toMatchObject({ otherLba: 2047, lastUsableLba: 2014 })
    expect(repaired.readUInt32LE(458)).toBe(2047)
  })

  test('grown and cut off at any write: the repair goes on from there', () => {
    const grown = resized(makeDisk(), 2 * diskBytes)
    const whole = plan(grown)
    const final = applied(grown, whole)
    expect(whole.writes.length).toBeGreaterThan(2)
    for (let done = 0; done < whole.writes.length; done++) {
      const half = applied(grown, { ...whole, writes: whole.writes.slice(0, done) })
      const rest = plan(half)
      expect(rest.problems.length, `after ${done}`).toBeGreaterThan(0)
      expect(applied(half, rest)).toEqual(final)
    }
  })

  test('shrunk behind its partitions: the backup moves', () => {
    const shrunk = resized(makeDisk(), diskBytes / 2)
    const repaired = applied(shrunk, plan(shrunk))
    expect(decodeBackupGpt(repaired.subarray(-33 * 512), diskBytes / 2).partitions).toHaveLength(2)
  })

  test('shrunk into a partition: refused, with both places', () => {
    const shrunk = resized(makeDisk(), 230 * 512)
    expect(() => plan(shrunk)).toThrow(
      expect.objectContaining({
        code: 'device-rejected',
        message: expect.stringMatching(/partition 2.*smaller/),
        facts: expect.objectContaining({ 'last sector of the partition': '209' }),
      }),
    )
  })

  test('grown with a damaged primary: both damaged, and the old size is advised', () => {
    const grown = resized(makeDisk(), 2 * diskBytes)
    grown[530] = 0xff
    expect(() => plan(grown)).toThrow(expect.objectContaining({ advice: expect.stringMatching(/old size/) }))
  })
})

test('whatever the partitions and the one damage are, the repaired disk has the same table twice', () => {
  const parts = array(record({ gap: nat(20), sectors: integer({ min: 1, max: 30 }) }), { maxLength: 12 })
  const damage = record({
    copy: constantFrom('primary', 'backup', 'none'),
    at: nat(33 * 512 - 1),
    value: integer({ min: 1, max: 255 }),
    length: integer({ min: 1, max: 4096 }),
  })
  assert(
    property(
      parts,
      damage,
      constantFrom(1, 2, 3),
      boolean(),
      (wanted, { copy, at, value, length }, factor, mbr) => {
        let next = 34
        const partitions = wanted.map(({ gap, sectors }, index) => {
          const firstLba = next + gap
          next = firstLba + sectors
          return partition(firstLba, sectors, `p${index}`)
        })
        const before = makeDisk({ partitions })
        const disk = resized(before, factor * diskBytes)
        // the backup of a grown disk is not where it belongs: the primary must stand then
        const base = copy === 'primary' && factor === 1 ? 512 : diskBytes - 33 * 512
        if (copy !== 'none') disk.fill(value, base + at, Math.min(base + at + length, base + 33 * 512))
        if (mbr) disk.fill(0, 440, 512)
        const repaired = applied(disk, plan(disk))
        expect(plan(repaired)).toMatchObject({ problems: [], writes: [] })
        const expected = decodePrimaryGpt(before).partitions
        expect(decodePrimaryGpt(repaired).partitions).toEqual(expected)
        expect(decodeBackupGpt(repaired.subarray(-33 * 512), repaired.length).partitions).toEqual(expected)
      },
    ),
    { numRuns: 300 },
  )
})

test('any bytes at all end in an AppError or a plan inside the disk', () => {
  const mutation = record({ at: nat(1023), value: constantFrom(0, 1, 0x7f, 0x80, 0xff), end: boolean() })
  assert(
    property(array(mutation, { maxLength: 6 }), (mutations) => {
      const disk = makeDisk()
      for (const { at, value, end } of mutations) disk[end ? diskBytes - 1024 + at : 440 + at] = value
      try {
        for (const { offsetBytes, bytes } of plan(disk).writes)
          if (offsetBytes < 0 || offsetBytes + bytes.length > diskBytes || bytes.length % 512 !== 0)
            throw new Error('a write outside of the disk')
      } catch (error) {
        expect(error).toMatchObject({ code: 'device-rejected' })
      }
    }),
    { numRuns: 2000 },
  )
})
