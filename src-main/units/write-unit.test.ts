import { randomBytes } from 'node:crypto'
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { KiB, MiB } from '#shared/units/bytes.ts'
import { encodeMbr } from '#test/support/partition-tables.ts'
import { makeTempDir } from '#test/unit/temp-dir.ts'
import { inspectUnit } from '#main/protocols/unit/inspect-unit.ts'
import { readEnds } from './disk.ts'
import { exportDisk, verifyDisk } from './unit-disks.ts'
import { observeWrittenUnit, writeUnit } from './write-unit.ts'
import {
  contentOf,
  diskSizes,
  emptyDevice,
  error,
  failingAt,
  headerOf,
  openedUnit,
  plan,
  sha256,
  signal,
  write,
  writtenUnit,
} from '#test/support/unit-bench.ts'

describe('writing and reading back', () => {
  test.each([true, false])(
    'every component lies where the plan says (device reads as zeros: %s)',
    async (isZeroed) => {
      const bench = await emptyDevice(plan.sizeBytes, isZeroed ? 0 : 0xdd)
      const header = await write(bench, isZeroed)
      expect(header.disks).toEqual(
        bench.disks.map((bytes, index) => ({
          index,
          format: 'raw',
          partition: 5 + index,
          sizeBytes: bytes.length,
          sha256: sha256(bytes),
        })),
      )
      const image = readFileSync(bench.path)
      const at = (name: string): Buffer => {
        const partition = plan.partitions.find((one) => one.name === name)
        const from = (partition?.firstLba ?? 0) * 512
        return image.subarray(from, from + (partition?.sectors ?? 0) * 512)
      }
      for (const [index, bytes] of bench.disks.entries()) {
        expect(at(`disk${index}`).subarray(0, bytes.length).equals(bytes)).toBe(true)
        expect(
          at(`disk${index}`)
            .subarray(bytes.length)
            .every((byte) => byte === 0),
        ).toBe(true)
      }
      const { text } = headerOf().vm.configuration
      expect(at('configuration').toString('utf8').replace(/\0+$/, '')).toBe(text)
      expect(
        at('state')
          .subarray(0, MiB)
          .every((byte) => byte === 0),
      ).toBe(true)
      const unit = inspectUnit(await readEnds(bench.device, signal))
      expect(unit).toMatchObject({ state: 'ok', problems: [], generation: 1, header })
      expect(unit.partitions.map(({ name }) => name)).toEqual(plan.partitions.map(({ name }) => name))
      expect(await observeWrittenUnit(bench.device, header.unitId, signal)).toBe('present')
    },
  )

  test('a larger device has its backup table at its own end', async () => {
    const bench = await emptyDevice(plan.sizeBytes + 5 * MiB)
    await write(bench)
    expect(inspectUnit(await readEnds(bench.device, signal))).toMatchObject({ state: 'ok', problems: [] })
  })

  test('progress counts the bytes of all disks, without a step back', async () => {
    const { device, disks } = await emptyDevice()
    const seen: number[] = []
    const totalBytes = diskSizes.reduce((sum, size) => sum + size, 0)
    await writeUnit(
      device,
      {
        plan,
        header: headerOf(),
        isZeroed: true,
        disks: new Map(disks.map((bytes, index) => [index, contentOf(bytes)])),
      },
      {
        signal,
        report: (progress) => {
          expect(progress.totalBytes).toBe(totalBytes)
          seen.push(progress.bytes)
        },
      },
    )
    expect(seen).toEqual(seen.toSorted((a, b) => a - b))
    expect(seen.at(-1)).toBe(totalBytes)
  })

  test('disks verify, and a changed byte anywhere in one is noticed', async () => {
    const bench = await writtenUnit()
    for (const index of [0, 1])
      expect(await verifyDisk(bench.device, index, { signal })).toBe(
        sha256(bench.disks[index] ?? Buffer.alloc(0)),
      )
    const offset = (plan.partitions[4]?.firstLba ?? 0) * 512 + 3 * MiB
    await bench.device.write(offset, randomBytes(512), signal)
    await expect(verifyDisk(bench.device, 0, { signal })).rejects.toThrow(
      error('device-rejected', /Disk 0 is not what/),
    )
    await verifyDisk(bench.device, 1, { signal })
    await expect(verifyDisk(bench.device, 7, { signal })).rejects.toThrow(error('not-found', /no disk 7/))
  })

  test('a disk is exported as it was written, and a changed one says so', async () => {
    const bench = await writtenUnit()
    const path = join(makeTempDir(), 'export.raw')
    expect(await exportDisk(bench.device, 0, path, { signal })).toEqual({
      sha256: sha256(bench.disks[0] ?? Buffer.alloc(0)),
      isAsWritten: true,
    })
    expect(readFileSync(path).equals(bench.disks[0] ?? Buffer.alloc(0))).toBe(true)
    await bench.device.write((plan.partitions[5]?.firstLba ?? 0) * 512, randomBytes(512), signal)
    const other = join(makeTempDir(), 'export.raw')
    expect(await exportDisk(bench.device, 1, other, { signal })).toMatchObject({ isAsWritten: false })
    expect(statSync(other).size).toBe(diskSizes[1])
  })

  test.each([
    [
      'of another size',
      () =>
        new Map([
          [0, contentOf(Buffer.alloc(512))],
          [1, contentOf(Buffer.alloc(64 * KiB))],
        ]),
    ],
    ['missing', () => new Map([[0, contentOf(Buffer.alloc(3 * MiB + 512))]])],
  ])('a disk that is %s is refused before anything is written', async (_, disks) => {
    const { device, path } = await emptyDevice()
    await expect(
      writeUnit(device, { plan, header: headerOf(), isZeroed: true, disks: disks() }, { signal }),
    ).rejects.toThrow(error('bad-request'))
    expect(readFileSync(path).every((byte) => byte === 0)).toBe(true)
  })
})

describe('A10: nothing is written over what is there', () => {
  const unharmed = async (prepare: (image: Buffer) => void, words: RegExp): Promise<void> => {
    const bench = await emptyDevice()
    const image = readFileSync(bench.path)
    prepare(image)
    writeFileSync(bench.path, image)
    const before = sha256(image)
    await expect(write(bench)).rejects.toThrow(
      expect.objectContaining({ code: 'bad-request', facts: { found: expect.stringMatching(words) } }),
    )
    expect(sha256(readFileSync(bench.path))).toBe(before)
  }

  test('a file system', () => unharmed((image) => void image.write('XFSB'), /XFS/))
  test('a partition table', () =>
    unharmed(
      (image) => void encodeMbr([{ type: '0x83', firstLba: 63, sectors: 9 }]).copy(image),
      /MBR with 1/,
    ))
  test('any byte at the beginning', () => unharmed((image) => void (image[MiB + 77] = 1), /unknown/))
  test('any byte at the end', () => unharmed((image) => void (image[image.length - 1] = 1), /unknown/))

  test('a unit, also a damaged one', async () => {
    const bench = await writtenUnit()
    await expect(write(bench)).rejects.toThrow(error('bad-request', /not empty/))
    await bench.device.write(0, new Uint8Array(MiB), signal)
    await expect(write(bench)).rejects.toThrow(error('bad-request', /not empty/))
  })

  test('a device that is one sector too small', async () => {
    const bench = await emptyDevice(plan.sizeBytes - 512)
    await expect(write(bench)).rejects.toThrow(error('bad-request', /the unit needs/))
    expect(readFileSync(bench.path).every((byte) => byte === 0)).toBe(true)
  })

  test('other sectors than those of 512 bytes', async () => {
    const { path } = await emptyDevice()
    const device = await openedUnit(path, 4096)
    await expect(readEnds(device, signal)).rejects.toThrow(error('not-supported', /blocks of 4096/))
    await device.close()
  })
})

test('cut off at any write or flush, the device never bears a unit that is not whole', async () => {
  let states = new Set<string>()
  for (let failAt = 1; ; failAt++) {
    const bench = await emptyDevice()
    const failing = { ...bench, device: failingAt(bench.device, failAt) }
    const failed = await write(failing).then(
      () => false,
      () => true,
    )
    const unit = inspectUnit(await readEnds(bench.device, signal))
    states = states.add(unit.state)
    if (unit.state === 'ok') {
      for (const index of [0, 1]) await verifyDisk(bench.device, index, { signal })
    }
    await bench.device.close()
    if (!failed) break
  }
  expect([...states].toSorted()).toEqual(['damaged', 'empty', 'ok'])
})

test('each byte of the header area that is flipped is noticed, and the unit stays readable by the other copy', async () => {
  const bench = await writtenUnit()
  const ends = await readEnds(bench.device, signal)
  const first = Buffer.from(ends.first)
  const jsonBytes = first.readUInt32LE(MiB + 12)
  const areas = [MiB, MiB + 512 * KiB].flatMap((from) => [
    { from, to: from + 76 },
    { from: from + 512, to: from + 512 + jsonBytes },
  ])
  for (const { from, to } of areas)
    for (let at = from; at < to; at++) {
      first[at] = (first[at] ?? 0) ^ 0x20
      const unit = inspectUnit({ ...ends, first })
      if (unit.state !== 'ok' || unit.problems.length === 0 || unit.header?.vm.name !== 'web')
        throw new Error(`byte ${at}: ${JSON.stringify(unit)}`)
      first[at] = (first[at] ?? 0) ^ 0x20
    }
})

test('a unit that is cut off anywhere is never ok', async () => {
  const bench = await writtenUnit()
  await bench.device.close()
  for (let sizeBytes = plan.sizeBytes - MiB - 512; sizeBytes > 0; sizeBytes -= 1_300_992) {
    truncateSync(bench.path, sizeBytes)
    const device = await openedUnit(bench.path)
    expect(inspectUnit(await readEnds(device, signal)).state, `${sizeBytes} bytes`).toBe('damaged')
    await device.close()
  }
})
