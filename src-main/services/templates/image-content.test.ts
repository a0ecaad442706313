import { createHash } from 'node:crypto'
import { chmodSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { array, assert, asyncProperty, constantFrom, integer, nat, record } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KiB, MiB } from '#shared/units/bytes.ts'
import { imageBytes } from '#test/fixtures/images/images.ts'
import { makeVhd, repairVhdChecksums, vhdBlockBytes } from '#test/support/vhd.ts'
import { makeTempDir } from '#test/unit/temp-dir.ts'
import { openFileDevice } from '#main/transports/block/file-device.ts'
import type { FileContent } from '#main/transports/block/block-device.ts'
import { openImageContent, type ImageContent, type OpenImageOptions } from './image-content.ts'

const { signal } = new AbortController()

function imageFile(name: string, bytes: Uint8Array): string {
  const path = join(makeTempDir(), name)
  writeFileSync(path, bytes)
  return path
}
const openImage = (path: string, options: Partial<OpenImageOptions> = {}): Promise<ImageContent> =>
  openImageContent(path, { signal, tempDir: makeTempDir(), qemuImg: '/nonexistent/qemu-img', ...options })

/** What lands on a disk. */
async function contentBytes(content: FileContent): Promise<Buffer> {
  const path = imageFile('target.raw', Buffer.alloc(content.sizeBytes, 0xaa))
  const device = await openFileDevice(path, { readOnly: false })
  const { sha256 } = await device.writeContent(0, content, { signal, isZeroed: false })
  await device.close()
  const bytes = readFileSync(path)
  expect(sha256).toBe(createHash('sha256').update(bytes).digest('hex'))
  return bytes
}

const error = (code: string, words = /./): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(words) })

describe('read by the console itself', () => {
  test('raw: all of it', async () => {
    const bytes = Buffer.alloc(64 * KiB)
    bytes.fill('data', 512, 9000)
    const { content, format } = await openImage(imageFile('disk.raw', bytes))
    expect(format).toBe('raw')
    expect(await contentBytes(content)).toEqual(bytes)
  })

  test('fixed VHD: what is before its footer', async () => {
    const bytes = imageBytes('fixed.vhd')
    bytes.set([1, 2, 3], 4096)
    const { content, format } = await openImage(imageFile('disk.vhd', bytes))
    expect(format).toBe('vhd')
    expect(content.sizeBytes).toBe(bytes.length - 512)
    expect(await contentBytes(content)).toEqual(Buffer.from(bytes.subarray(0, -512)))
  })

  test('dynamic VHD: any blocks in any order, unwritten sectors as zeros', async () => {
    const blocks = array(
      record({
        index: nat(5),
        first: nat(100),
        count: integer({ min: 1, max: 200 }),
        fill: integer({ min: 1, max: 255 }),
      }),
      { maxLength: 5 },
    )
    await assert(
      asyncProperty(blocks, constantFrom(0, 512, 100 * 512), async (parts, tail) => {
        const virtualSizeBytes = 5 * vhdBlockBytes + vhdBlockBytes / 2 + tail
        const placed = [...new Map(parts.map((part) => [part.index, part])).values()]
        const { bytes, expected } = makeVhd(virtualSizeBytes, placed)
        const { content } = await openImage(imageFile('disk.vhd', bytes))
        expect((await contentBytes(content)).equals(expected)).toBe(true)
      }),
      { numRuns: 15 },
    )
  })

  test('dynamic VHD of qemu-img', async () => {
    const { content } = await openImage(imageFile('disk.vhd', imageBytes('forced.vhd')))
    expect(
      content.extents.every(({ offset, lengthBytes }) => offset + lengthBytes <= content.sizeBytes),
    ).toBe(true)
  })
})

describe('a dynamic VHD that lies is refused', () => {
  const virtualSizeBytes = 3 * vhdBlockBytes
  const parts = [
    { index: 0, first: 0, count: 8, fill: 1 },
    { index: 2, first: 0, count: 8, fill: 2 },
  ]
  test.each<[string, (bytes: Buffer, table: number) => void, RegExp]>([
    [
      'block outside of the file',
      (bytes, table) => bytes.writeUInt32BE(0x00ff_ffff, table),
      /block 0 would lie/,
    ],
    [
      'two blocks at one place',
      (bytes, table) => bytes.copy(bytes, table + 8, table, table + 4),
      /lies over another/,
    ],
    ['fewer entries than blocks', (bytes) => bytes.writeUInt32BE(2, 512 + 28), /table has 2 entries/],
    [
      'table outside of the file',
      (bytes) => bytes.writeUInt32BE(0x7fff_fe00, 512 + 20),
      /table of 3 entries/,
    ],
    ['block size of 0', (bytes) => bytes.writeUInt32BE(0, 512 + 32), /blocks would have 0/],
    ['block size of 3 KiB', (bytes) => bytes.writeUInt32BE(3072, 512 + 32), /blocks would have 3072/],
    ['block size of 2 GiB', (bytes) => bytes.writeUInt32BE(0x8000_0000, 512 + 32), /blocks would have/],
    [
      'header elsewhere',
      (bytes) => bytes.writeUInt32BE(0x7fff_fe00, bytes.length - 512 + 20),
      /dynamic header at/,
    ],
    ['no header there', (bytes) => bytes.write('nosparse', 512), /no dynamic header/],
  ])('%s', async (_, lie, words) => {
    const { bytes, tableOffset } = makeVhd(virtualSizeBytes, parts)
    lie(bytes, tableOffset)
    repairVhdChecksums(bytes)
    await expect(openImage(imageFile('disk.vhd', bytes))).rejects.toThrow(error('bad-request', words))
  })

  test('a header with a wrong checksum', async () => {
    const { bytes } = makeVhd(virtualSizeBytes, parts)
    bytes[512 + 700] = 1
    await expect(openImage(imageFile('disk.vhd', bytes))).rejects.toThrow(error('bad-request', /checksum/))
  })

  test('a differencing VHD names what it needs', async () => {
    const { bytes } = makeVhd(virtualSizeBytes, parts)
    bytes.writeUInt32BE(4, bytes.length - 512 + 60)
    repairVhdChecksums(bytes)
    await expect(openImage(imageFile('disk.vhd', bytes))).rejects.toThrow(error('not-supported', /parent/))
  })

  test('cut off at any sector', async () => {
    const { bytes } = makeVhd(virtualSizeBytes, parts)
    for (let length = 512; length < bytes.length; length += 7 * 512 * 100)
      await expect(openImage(imageFile('disk.vhd', bytes.subarray(0, length)))).rejects.toThrow(
        error('bad-request'),
      )
  })
})

test('an image that is not what it is called is refused', async () => {
  await expect(openImage(imageFile('disk.raw', imageBytes('base.qcow2')))).rejects.toThrow(
    error('bad-request', /is a qcow2 image but is called raw/),
  )
  await expect(
    openImage(imageFile('disk.img', imageBytes('fixed.vhd')), { claimedFormat: 'vhdx' }),
  ).rejects.toThrow(error('bad-request', /is a vhd image but is called vhdx/))
})

describe('converted by qemu-img', () => {
  test.each(['base.qcow2', 'dynamic.vhdx', 'sparse.vmdk'])('%s without qemu-img: says so', async (name) => {
    await expect(openImage(imageFile(name, imageBytes(name)))).rejects.toThrow(
      error('not-supported', /read by qemu-img, which is not installed/),
    )
  })

  /** A program in its place, for what the real one does not do on demand. */
  const program = (script: string): string => {
    const path = join(makeTempDir(), 'qemu-img')
    writeFileSync(path, `#!/bin/sh\n${script}\n`)
    chmodSync(path, 0o755)
    return path
  }
  const map = `[ "$1" != map ] || { echo '[{"length":65536,"data":true,"zero":false}]'; exit 0; }`
  const last = 'for target; do :; done'

  test('a failure leaves nothing behind and passes its words on', async () => {
    const tempDir = makeTempDir()
    const qemuImg = program(`${map}; ${last}; echo half >"$target"; echo 'Invalid cluster' >&2; exit 1`)
    await expect(
      openImage(imageFile('disk.qcow2', imageBytes('base.qcow2')), { tempDir, qemuImg }),
    ).rejects.toThrow(
      expect.objectContaining({ code: 'device-rejected', facts: { 'qemu-img says': 'Invalid cluster' } }),
    )
    expect(readdirSync(tempDir)).toEqual([])
  })

  test('a result of another size is refused and removed', async () => {
    const tempDir = makeTempDir()
    const qemuImg = program(`${map}; ${last}; echo short >"$target"`)
    await expect(
      openImage(imageFile('disk.qcow2', imageBytes('base.qcow2')), { tempDir, qemuImg }),
    ).rejects.toThrow(error('device-rejected', /made 6 bytes/))
    expect(readdirSync(tempDir)).toEqual([])
  })

  test('without room nothing is begun', async () => {
    const tempDir = makeTempDir()
    const qemuImg = program(`echo '[{"length":${2 ** 52},"data":true,"zero":false}]'`)
    await expect(
      openImage(imageFile('disk.qcow2', imageBytes('base.qcow2')), { tempDir, qemuImg }),
    ).rejects.toThrow(error('device-rejected', /no room/))
    expect(readdirSync(tempDir)).toEqual([])
  })

  test('cancelled, it ends and leaves nothing', async () => {
    const tempDir = makeTempDir()
    const controller = new AbortController()
    const qemuImg = program(`${map}; ${last}; echo half >"$target"; echo '    (12.00/100%)'; exec sleep 60`)
    const report = ({ bytes }: { bytes: number }): void => {
      expect(bytes).toBeGreaterThan(0)
      controller.abort()
    }
    await expect(
      openImage(imageFile('disk.qcow2', imageBytes('base.qcow2')), {
        tempDir,
        qemuImg,
        signal: controller.signal,
        report,
      }),
    ).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }))
    expect(readdirSync(tempDir)).toEqual([])
  })

  test('what was made is removed by close', async () => {
    const tempDir = makeTempDir()
    const path = imageFile('disk.qcow2', imageBytes('base.qcow2'))
    const qemuImg = program(`${map}; ${last}; truncate -s ${64 * MiB} "$target"`)
    const opened = await openImage(path, { tempDir, qemuImg })
    expect(readdirSync(tempDir)).toHaveLength(1)
    await opened.close()
    expect(readdirSync(tempDir)).toEqual([])
  })
})
