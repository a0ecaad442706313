import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { array, asyncProperty, assert, boolean, integer, nat, record } from 'fast-check'
import { expect, test } from 'vitest'
import { KiB, MiB } from '#shared/units/bytes.ts'
import { makeTempDir } from '#test/unit/temp-dir.ts'
import type { BlockDevice, FileContent } from './block-device.ts'
import { hashRegion, readIntoFile, writeContent, type BulkDisk } from './bulk.ts'
import { openFileDevice } from './file-device.ts'

const { signal } = new AbortController()
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const error = (code: string): unknown => expect.objectContaining({ code })

function makeFile(sizeBytes: number): string {
  const path = join(makeTempDir(), 'disk.img')
  writeFileSync(path, '')
  truncateSync(path, sizeBytes)
  return path
}

async function opened(path: string, readOnly = false): Promise<BlockDevice> {
  const device = await openFileDevice(path, { readOnly })
  return device
}

test('what is written is read, and is in the file after a flush', async () => {
  const path = makeFile(MiB)
  const device = await opened(path)
  const bytes = randomBytes(1536)
  await device.write(4096, bytes, signal)
  await device.flush(signal)
  expect(Buffer.from(await device.read(4096, 1536, signal))).toEqual(bytes)
  expect(readFileSync(path).subarray(4096, 4096 + 1536)).toEqual(bytes)
  await device.close()
})

test.each([
  ['not whole blocks', 100, 512],
  ['length not whole blocks', 512, 100],
  ['behind the end', MiB, 512],
  ['over the end', MiB - 512, 1024],
  ['negative', -512, 512],
])('a range that is %s is refused', async (_, offset, length) => {
  const device = await opened(makeFile(MiB))
  await expect(device.read(offset, length, signal)).rejects.toThrow(error('bad-request'))
  await expect(device.write(offset, new Uint8Array(length), signal)).rejects.toThrow(error('bad-request'))
  await expect(device.hash(offset, length, { signal })).rejects.toThrow(error('bad-request'))
  await device.close()
})

test('what is no disk is refused by kind', async () => {
  const folder = makeTempDir()
  await expect(opened(join(folder, 'none'))).rejects.toThrow(error('not-found'))
  await expect(opened(folder, true)).rejects.toThrow(error('bad-request'))
  await expect(opened('/dev/null', true)).rejects.toThrow(error('bad-request'))
})

test('opened for reading it is never written', async () => {
  const path = makeFile(MiB)
  const device = await opened(path, true)
  expect(device.isReadOnly).toBe(true)
  await expect(device.write(0, new Uint8Array(512), signal)).rejects.toThrow(error('bad-request'))
  const content: FileContent = { path, sizeBytes: 512, extents: [] }
  await expect(device.writeContent(0, content, { signal, isZeroed: false })).rejects.toThrow(
    error('bad-request'),
  )
  await device.close()
})

test('a file that is cut off under it is stale, not zeros', async () => {
  const path = makeFile(MiB)
  const device = await opened(path)
  truncateSync(path, 4096)
  await expect(device.read(8192, 512, signal)).rejects.toThrow(error('stale'))
  await expect(device.hash(0, MiB, { signal })).rejects.toThrow(error('stale'))
  await device.close()
})

test('a region is read into a new sparse file and never over one that is there', async () => {
  const path = makeFile(4 * MiB)
  const device = await opened(path)
  const bytes = randomBytes(64 * KiB)
  await device.write(2 * MiB, bytes, signal)
  const target = join(makeTempDir(), 'export.raw')
  const digest = await device.readIntoFile(MiB, 2 * MiB, target, { signal })
  const expected = Buffer.alloc(2 * MiB)
  bytes.copy(expected, MiB)
  expect(readFileSync(target)).toEqual(expected)
  expect(digest).toBe(sha256(expected))
  expect(statSync(target).blocks * 512).toBeLessThan(MiB)
  await expect(device.readIntoFile(0, 512, target, { signal })).rejects.toThrow(error('busy'))
  expect(statSync(target).size).toBe(2 * MiB)
  await device.close()
})

test('a reading that fails in the middle leaves no file', async () => {
  const path = makeFile(8 * MiB)
  const device = await opened(path)
  const target = join(makeTempDir(), 'export.raw')
  const controller = new AbortController()
  const report = (): void => controller.abort()
  await expect(
    device.readIntoFile(0, 8 * MiB, target, { signal: controller.signal, report }),
  ).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }))
  expect(existsSync(target)).toBe(false)
  await device.close()
})

test('content whose file ended early is stale', async () => {
  const source = makeFile(4096)
  const device = await opened(makeFile(MiB))
  const content: FileContent = {
    path: source,
    sizeBytes: 8192,
    extents: [{ fileOffset: 0, offset: 0, lengthBytes: 8192 }],
  }
  await expect(device.writeContent(0, content, { signal, isZeroed: true })).rejects.toThrow(error('stale'))
  await device.close()
})

/** A disk in memory that answers in any order. */
function memoryDisk(bytes: Buffer): BulkDisk & { readonly written: [number, number][] } {
  const written: [number, number][] = []
  const later = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
  return {
    name: 'memory',
    blockBytes: 512,
    sizeBytes: bytes.length,
    written,
    async readInto(offset, into) {
      if (Math.random() < 0.5) await later()
      bytes.copy(into, 0, offset)
    },
    async write(offset, data) {
      if (Math.random() < 0.5) await later()
      bytes.set(data, offset)
      written.push([offset, data.length])
    },
  }
}

test('any content lands as it is described, with its zeros or without them', async () => {
  const source = join(makeTempDir(), 'source.bin')
  const data = randomBytes(3 * MiB)
  data.fill(0, 100_000, 900_000)
  writeFileSync(source, data)
  const extents = array(
    record({ gap: nat(1_500_000), fileOffset: nat(MiB), lengthBytes: integer({ min: 1, max: 1_500_000 }) }),
    { maxLength: 4 },
  )
  await assert(
    asyncProperty(extents, nat(4), boolean(), async (parts, tailBlocks, isZeroed) => {
      let end = 0
      const placed = parts.map(({ gap, fileOffset, lengthBytes }) => {
        const offset = end + gap
        end = offset + lengthBytes
        return { offset, fileOffset, lengthBytes }
      })
      const sizeBytes = Math.ceil(end / 512) * 512 + tailBlocks * 512
      const expected = Buffer.alloc(sizeBytes)
      for (const { offset, fileOffset, lengthBytes } of placed)
        data.copy(expected, offset, fileOffset, fileOffset + lengthBytes)
      const bytes = Buffer.alloc(sizeBytes + 1024, isZeroed ? 0 : 0xaa)
      const disk = memoryDisk(bytes)
      const result = await writeContent(
        disk,
        512,
        { path: source, sizeBytes, extents: placed },
        { signal, isZeroed },
      )
      expect(result.sha256).toBe(sha256(expected))
      expect(bytes.subarray(512, 512 + sizeBytes).equals(expected)).toBe(true)
      expect(await hashRegion(disk, 512, sizeBytes, { signal })).toBe(result.sha256)
      expect(result.bytesWritten).toBe(disk.written.reduce((sum, [, length]) => sum + length, 0))
      if (!isZeroed) expect(result.bytesWritten).toBe(sizeBytes)
    }),
    { numRuns: 30 },
  )
})

test('zeros are not written to a disk that is zero', async () => {
  const source = join(makeTempDir(), 'source.bin')
  const data = Buffer.alloc(4 * MiB)
  data.fill(1, 2 * MiB + 64 * KiB, 2 * MiB + 64 * KiB + 512)
  writeFileSync(source, data)
  const disk = memoryDisk(Buffer.alloc(4 * MiB))
  const content = {
    path: source,
    sizeBytes: data.length,
    extents: [{ fileOffset: 0, offset: 0, lengthBytes: data.length }],
  }
  await writeContent(disk, 0, content, { signal, isZeroed: true })
  expect(disk.written).toEqual([[2 * MiB + 64 * KiB, 64 * KiB]])
})

test('the first write that fails ends the work, and its error is told', async () => {
  const source = join(makeTempDir(), 'source.bin')
  writeFileSync(source, randomBytes(8 * MiB))
  const disk = memoryDisk(Buffer.alloc(8 * MiB))
  let writes = 0
  const failing: BulkDisk = {
    ...disk,
    write: () => (++writes === 2 ? Promise.reject(new Error('medium error')) : Promise.resolve()),
  }
  const content = {
    path: source,
    sizeBytes: 8 * MiB,
    extents: [{ fileOffset: 0, offset: 0, lengthBytes: 8 * MiB }],
  }
  await expect(writeContent(failing, 0, content, { signal, isZeroed: false })).rejects.toThrow('medium error')
  expect(writes).toBeLessThan(8)
})

test('a read that fails leaves no file behind and no other read running', async () => {
  const disk = memoryDisk(Buffer.alloc(8 * MiB))
  const failing: BulkDisk = {
    ...disk,
    readInto: (offset, into) =>
      offset === 2 * MiB ? Promise.reject(new Error('medium error')) : disk.readInto(offset, into, signal),
  }
  const target = join(makeTempDir(), 'export.raw')
  await expect(readIntoFile(failing, 0, 8 * MiB, target, { signal })).rejects.toThrow('medium error')
  expect(existsSync(target)).toBe(false)
})
