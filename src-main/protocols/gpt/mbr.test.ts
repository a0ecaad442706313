import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { decodeMbr } from './mbr.ts'

const sfdisk = (): Buffer =>
  readFileSync(new URL('../../../test/fixtures/gpt/mbr-start.bin', import.meta.url))

describe('an MBR of sfdisk', () => {
  test('is read', () => {
    expect(decodeMbr(sfdisk())).toEqual({
      diskSignature: 0x47414e54,
      protective: false,
      partitions: [
        { number: 1, type: 0xda, bootable: false, firstLba: 2048, sectors: 2048 },
        { number: 2, type: 0x83, bootable: false, firstLba: 4096, sectors: 28_672 },
      ],
    })
  })

  test('is refused when truncated at any byte', () => {
    const bytes = sfdisk()
    for (let length = 0; length < bytes.length; length++)
      expect(() => decodeMbr(bytes.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'device-rejected' }),
      )
  })

  test.each([
    ['status', 446, 0x7f],
    ['first LBA', 455, 0],
    ['length', 459, 0],
    ['signature', 511, 0],
  ])('with a wrong %s is refused, with the offset', (_, offset, value) => {
    const bytes = sfdisk()
    bytes[offset] = value
    expect(() => decodeMbr(bytes)).toThrow(
      expect.objectContaining({
        facts: expect.objectContaining({ offset: expect.stringMatching(/^(446|454|458|510)$/) }),
      }),
    )
  })

  test('keeps the number of an entry behind an unused one', () => {
    const bytes = sfdisk()
    bytes[450] = 0
    expect(decodeMbr(bytes).partitions.map(({ number }) => number)).toEqual([2])
  })
})
