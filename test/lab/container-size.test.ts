import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { containerHolds, containerSize } from '#shared/domain/container-size.ts'
import type { ContainerContent } from '#shared/domain/container-size.ts'
import { GiB, KiB, MiB, TiB, formatBytes } from '#shared/units/bytes.ts'
import { ScratchContainer } from './scratch-container.ts'

/**
 * A1, proved by filling: in a container of the computed size, partitioned and formatted as in the product, all the data
 * and then the headroom find room. Up to 512 MiB real random bytes are written; beyond that blocks are allocated.
 */
const needsRoot = process.getuid?.() === 0 ? undefined : 'loop devices need root'
if (needsRoot !== undefined) console.log(`container-size.test.ts is skipped: ${needsRoot}`)

const random = randomBytes(4 * MiB)

async function writeRandom(path: string, sizeBytes: number): Promise<void> {
  const file = await open(path, 'w')
  try {
    for (let left = sizeBytes; left > 0; left -= random.length)
      await file.write(random, 0, Math.min(left, random.length))
  } finally {
    await file.close()
  }
}

async function fill(content: ContainerContent, realData: boolean): Promise<void> {
  const { sizeBytes, parts } = containerSize({ ...content, alignmentBytes: MiB })
  const container = await ScratchContainer.create(sizeBytes, content.fileSystem)
  try {
    expect(container.fileSystemBytes).toBe(sizeBytes - parts.partitionBytes)
    const free = await container.freeBytes()
    const put = (name: string, bytes: number): Promise<void> =>
      realData ? writeRandom(join(container.mountPoint, name), bytes) : container.allocate(name, bytes)
    for (const [index, file] of content.files.entries())
      await put(`${String(index).padStart(6, '0')}-${'x'.repeat(80)}`, file.sizeBytes)
    await container.sync()
    if (parts.headroomBytes > 0) await put('headroom', parts.headroomBytes)
    await container.sync()
    const left = await container.freeBytes()
    console.log(
      `${content.fileSystem}: ${formatBytes(parts.dataBytes)} in ${content.files.length} files: container ${formatBytes(sizeBytes)},`,
      `empty ${formatBytes(free)}, left ${formatBytes(left)} (${((100 * left) / sizeBytes).toFixed(2)} %)`,
    )
  } finally {
    await container.remove()
  }
}

const sizes = (...bytes: number[]): { sizeBytes: number }[] => bytes.map((sizeBytes) => ({ sizeBytes }))
const smallFiles = Array.from({ length: 3000 }, (_, index) => ({
  sizeBytes: 1 + ((index * 7919) % (20 * KiB)),
}))

describe.skipIf(needsRoot)('a container of the computed size holds its data (A1)', () => {
  describe.each(['ext4', 'xfs', 'ntfs'] as const)('%s', (fileSystem) => {
    test.each([
      ['one small file', sizes(1)],
      ['16 MiB', sizes(16 * MiB)],
      ['110 MiB, where the journal of ext4 grows', sizes(110 * MiB, 4000)],
      ['256 MiB in two disks', sizes(200 * MiB, 56 * MiB)],
      ['512 MiB', sizes(512 * MiB, 4000)],
      ['3000 small files and a large one', [...smallFiles, ...sizes(64 * MiB)]],
      ['3000 small files alone', smallFiles],
    ])('%s, written', async (_, files) => {
      await fill({ files, fileSystem }, true)
    })

    test('300 MiB with no headroom at all, written', async () => {
      await fill({ files: sizes(300 * MiB), fileSystem, headroomPercent: 0 }, true)
    })

    test.each([
      ['1 GiB', sizes(GiB)],
      ['4 GiB', sizes(3 * GiB, GiB)],
      ['16 GiB', sizes(16 * GiB)],
      ['100 GiB', sizes(100 * GiB)],
      ['1 TiB', sizes(TiB)],
    ])('%s, allocated, without and with headroom', async (_, files) => {
      await fill({ files, fileSystem, headroomPercent: 0 }, false)
      await fill({ files, fileSystem }, false)
    })
  })

  test('10 % is not enough: 512 MiB do not fit on XFS in 564 MiB', async () => {
    const naive = 564 * MiB
    const content = { files: sizes(512 * MiB), headroomPercent: 0, fileSystem: 'xfs' } as const
    expect(containerHolds(naive, content)).toBe(false)
    const container = await ScratchContainer.create(naive, 'xfs')
    try {
      await expect(container.allocate('disk', 512 * MiB)).rejects.toThrow(/No space left on device/)
    } finally {
      await container.remove()
    }
  })

  test('the proof can fail: one large block less than computed is too little', async () => {
    for (const fileSystem of ['ext4', 'xfs', 'ntfs'] as const) {
      const content = { files: sizes(512 * MiB), headroomPercent: 0, fileSystem }
      const { sizeBytes } = containerSize({ ...content, alignmentBytes: MiB })
      const container = await ScratchContainer.create(sizeBytes - 8 * MiB, fileSystem)
      try {
        await expect(container.allocate('disk', 512 * MiB)).rejects.toThrow(/No space left on device/)
      } finally {
        await container.remove()
      }
    }
  })
})
