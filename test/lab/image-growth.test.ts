import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { grownImageBytes } from '#shared/domain/image-growth.ts'
import { GiB, MiB, TiB } from '#shared/units/bytes.ts'
import { run } from './scratch-container.ts'

/** Nothing but what qemu-img itself says or makes: an image whose every sector is written. */
describe('a full image is not larger than it is reckoned', () => {
  let directory = ''
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gantry-image-'))
  })
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true })
  })

  test.each([
    ['qcow2', 'qcow2', 'cluster_size=64k'],
    ['qcow2', 'qcow2', 'cluster_size=16k'],
    ['vhd', 'vpc', 'subformat=dynamic,force_size=on'],
    ['vhdx', 'vhdx', 'subformat=dynamic'],
    ['vmdk', 'vmdk', 'subformat=monolithicSparse'],
  ] as const)('%s (%s, %s)', async (format, name, options) => {
    const raw = join(directory, 'raw')
    const image = join(directory, `image.${format}`)
    for (const sizeBytes of [MiB, 70 * MiB + 65_536]) {
      await writeFile(raw, randomBytes(sizeBytes))
      await run('qemu-img', 'convert', '-f', 'raw', '-O', name, '-o', options, raw, image)
      const { size } = await stat(image)
      expect(size).toBeLessThanOrEqual(grownImageBytes(format, sizeBytes))
      expect(size).toBeGreaterThan(sizeBytes)
    }
  })

  test('qcow2 of any size, by qemu-img measure', async () => {
    for (const sizeBytes of [512, 10 * GiB + 512, 2 * TiB]) {
      const measured = await run(
        'qemu-img',
        'measure',
        '-O',
        'qcow2',
        '--output=json',
        '--size',
        String(sizeBytes),
      )
      const fully = (JSON.parse(measured) as { 'fully-allocated': number })['fully-allocated']
      expect(fully).toBeLessThanOrEqual(grownImageBytes('qcow2', sizeBytes))
    }
  })
})
