import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { KiB, MiB } from '#shared/units/bytes.ts'
import { sampleHeader } from '#test/support/units.ts'
import { makeTempDir } from '#test/unit/temp-dir.ts'
import { planDisksLayout } from '#main/protocols/unit/disks-layout.ts'
import type { BlockDevice, FileContent } from '#main/transports/block/block-device.ts'
import { openFileDevice } from '#main/transports/block/file-device.ts'
import { writeUnit } from '#main/units/write-unit.ts'

export const { signal } = new AbortController()
export const error = (code: string, words = /./): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(words) })

export const diskSizes = [3 * MiB + 512, 64 * KiB]
export const plan = planDisksLayout({
  contents: 'all',
  disks: diskSizes.map((sizeBytes, index) => ({ index, sizeBytes })),
  memoryBytes: 4 * MiB,
}).base

export interface Bench {
  readonly path: string
  readonly device: BlockDevice
  readonly disks: readonly Buffer[]
}

export function contentOf(bytes: Buffer): FileContent {
  const path = join(makeTempDir(), 'disk.raw')
  writeFileSync(path, bytes)
  return { path, sizeBytes: bytes.length, extents: [{ fileOffset: 0, offset: 0, lengthBytes: bytes.length }] }
}

export const headerOf = (): UnitHeader => {
  const { fileSystem: _none, ...header } = sampleHeader()
  return header
}

export async function emptyDevice(sizeBytes = plan.sizeBytes, fill = 0): Promise<Bench> {
  const path = join(makeTempDir(), 'unit.img')
  writeFileSync(path, Buffer.alloc(sizeBytes, 0))
  if (fill !== 0) writeFileSync(path, middleFilled(sizeBytes, fill))
  const device = await openedUnit(path)
  return { path, device, disks: diskSizes.map((size) => randomBytes(size)) }
}

/** Zeros where a look is taken, other bytes in between: a LUN that was used before. */
function middleFilled(sizeBytes: number, fill: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes, fill)
  bytes.fill(0, 0, 2 * MiB)
  bytes.fill(0, sizeBytes - MiB)
  return bytes
}

export const write = ({ device, disks }: Bench, isZeroed = true): Promise<UnitHeader> =>
  writeUnit(
    device,
    {
      plan,
      header: headerOf(),
      isZeroed,
      disks: new Map(disks.map((bytes, index) => [index, contentOf(bytes)])),
    },
    { signal },
  )

export async function writtenUnit(): Promise<Bench> {
  const bench = await emptyDevice()
  await write(bench)
  return bench
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Fails at the nth write or flush, as a LUN that goes away. */
export function failingAt(device: BlockDevice, failAt: number): BlockDevice {
  let count = 0
  const step = (): void => {
    if (++count === failAt) throw new Error('gone')
  }
  return {
    ...device,
    write: async (...args) => {
      step()
      await device.write(...args)
    },
    flush: async (...args) => {
      step()
      await device.flush(...args)
    },
  }
}

/** Closed at the end of the running test. */
export async function openedUnit(path: string, blockBytes?: number): Promise<BlockDevice> {
  const device = await openFileDevice(path, {
    readOnly: false,
    ...(blockBytes === undefined ? {} : { blockBytes }),
  })
  onTestFinished(() => device.close().catch(() => undefined))
  return device
}
