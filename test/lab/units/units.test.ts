import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, describe, test } from 'vitest'
import { KiB, MiB } from '#shared/units/bytes.ts'
import { planDisksLayout } from '#main/protocols/unit/disks-layout.ts'
import { classifyLun } from '#main/protocols/lun/classify.ts'
import { openImageContent } from '#main/services/templates/image-content.ts'
import { openFileDevice } from '#main/transports/block/file-device.ts'
import { readEnds } from '#main/units/disk.ts'
import { applyUnitRepair, planUnitRepair } from '#main/units/repair-unit.ts'
import { writeUnit } from '#main/units/write-unit.ts'
import { sampleHeader } from '#test/support/units.ts'
import { exec } from '../exec.ts'

const lab = inject('labs')
const signal = new AbortController().signal
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gantry-units-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const emptyFile = (name: string, sizeBytes: number): string => {
  const path = join(folder, name)
  writeFileSync(path, '')
  truncateSync(path, sizeBytes)
  return path
}

/** A unit with these disks, as the console writes it. */
async function makeUnit(
  name: string,
  disks: readonly Buffer[],
): Promise<{ path: string; disks: DiskPlace[] }> {
  const plan = planDisksLayout({
    contents: 'all',
    memoryBytes: 32 * MiB,
    disks: disks.map(({ length }, index) => ({ index, sizeBytes: length })),
  }).base
  const path = emptyFile(name, plan.sizeBytes)
  const device = await openFileDevice(path, { readOnly: false })
  const contents = disks.map((bytes, index) => {
    const source = join(folder, `${name}-disk${index}.raw`)
    writeFileSync(source, bytes)
    const extents = [{ fileOffset: 0, offset: 0, lengthBytes: bytes.length }]
    return [index, { path: source, sizeBytes: bytes.length, extents }] as const
  })
  const { fileSystem: _none, ...header } = sampleHeader()
  await writeUnit(device, { plan, header, isZeroed: true, disks: new Map(contents) }, { signal })
  await device.close()
  return {
    path,
    disks: plan.partitions.flatMap(({ disk, firstLba }) =>
      disk === undefined ? [] : [{ offset: firstLba * 512, sizeBytes: disk.sizeBytes }],
    ),
  }
}
interface DiskPlace {
  readonly offset: number
  readonly sizeBytes: number
}

describe.skipIf('reason' in lab)('VM units and other programs', () => {
  test('B6: QEMU boots from the disk partition, and a guest that tries gets out of it nowhere', async () => {
    const object = join(folder, 'intruder.o')
    const sector = join(folder, 'intruder.bin')
    await exec('as', ['--32', '-o', object, join(import.meta.dirname, 'intruder.S')])
    await exec('ld', ['-m', 'elf_i386', '-Ttext', '0x7c00', '--oformat', 'binary', '-o', sector, object])
    const bootDisk = Buffer.alloc(300 * 512)
    readFileSync(sector).copy(bootDisk)
    const unit = await makeUnit('boot.unit', [bootDisk, randomBytes(64 * KiB)])
    const [disk = { offset: 0, sizeBytes: 0 }] = unit.disks
    const before = readFileSync(unit.path)

    const place = `driver=raw,node-name=disk0,offset=${disk.offset},size=${disk.sizeBytes}`
    const { stdout } = await exec(
      'qemu-system-x86_64',
      [
        ...['-machine', 'pc', '-accel', 'tcg', '-m', '32', '-nodefaults', '-display', 'none', '-no-reboot'],
        ...['-serial', 'stdio', '-blockdev', `${place},file.driver=file,file.filename=${unit.path}`],
        ...['-device', 'ide-hd,drive=disk0,bus=ide.0'],
      ],
      { timeoutMs: 60_000 },
    )
    expect(stdout.trim()).toBe(
      'sectors=0000012c last-read=ok last-write=ok next-read=refused next-write=refused far-write=refused end',
    )

    const after = readFileSync(unit.path)
    const last = disk.offset + 299 * 512
    expect(after.subarray(last, last + 512).every((byte) => byte === 0xe1)).toBe(true)
    before.fill(0xe1, last, last + 512)
    expect(sha256(after), 'nothing but the sector that the guest may write has changed').toBe(sha256(before))
  })

  test('sfdisk takes the partition table as it is, and after the LUN has grown and was repaired', async () => {
    const { path } = await makeUnit('table.unit', [Buffer.alloc(5 * MiB)])
    const verify = async (): Promise<string> => {
      const { stdout, stderr } = await exec('sfdisk', ['--verify', path])
      return stdout + stderr
    }
    expect(await verify()).toMatch(/No errors detected/)
    truncateSync(path, 200 * MiB)
    expect(await verify()).not.toMatch(/No errors detected/)
    const device = await openFileDevice(path, { readOnly: false })
    await applyUnitRepair(device, (await planUnitRepair(device, signal)).digest, signal)
    await device.close()
    expect(await verify()).toMatch(/No errors detected/)
    const { stdout } = await exec('sfdisk', ['--json', path])
    expect(JSON.parse(stdout)).toMatchObject({
      partitiontable: {
        label: 'gpt',
        lastlba: (200 * MiB) / 512 - 34,
        partitions: expect.arrayContaining([expect.objectContaining({ name: 'disk0', size: 5 * 2048 })]),
      },
    })
  })

  test('what sfdisk has written is repaired from either copy', async () => {
    const path = emptyFile('sfdisk.img', 16 * MiB)
    const script = `label: gpt
start=2048,size=2048,type=AFA682CC-4018-451C-93E5-75E1C647DA01,name="gantry-header"
start=4096,type=L,name="data"
`
    await exec('sfdisk', ['-q', '--no-reread', '--no-tell-kernel', path], { input: script })
    const whole = readFileSync(path)
    for (const [from, to] of [
      [512, 34 * 512],
      [whole.length - 33 * 512, whole.length],
    ] as const) {
      writeFileSync(path, Buffer.from(whole).fill(0x5a, from, to))
      const device = await openFileDevice(path, { readOnly: false })
      await applyUnitRepair(device, (await planUnitRepair(device, signal)).digest, signal)
      await device.close()
      expect((await exec('sfdisk', ['--verify', path])).stdout).toMatch(/No errors detected/)
      expect(sha256(readFileSync(path))).toBe(sha256(whole))
    }
  })

  test.each([
    ['ext2/3/4 file system', 'mkfs.ext4', ['-q', '-F']],
    ['XFS file system', 'mkfs.xfs', ['-q']],
    ['NTFS file system', 'mkntfs', ['-q', '-F', '-Q']],
    ['Btrfs file system', 'mkfs.btrfs', ['-q']],
    ['swap area', 'mkswap', []],
    ['FAT file system', 'mformat', ['-F', '-i']],
  ] as const)('%s as %s makes it is seen', async (name, program, args) => {
    const path = emptyFile(`${program}.img`, 400 * MiB)
    await exec(program, [...args, path, ...(program === 'mformat' ? ['::'] : [])])
    const device = await openFileDevice(path, { readOnly: true })
    expect(classifyLun(await readEnds(device, signal))).toEqual({ kind: 'other', content: [name] })
    await device.close()
  })

  test.each([
    ['disk.qcow2', ['-O', 'qcow2']],
    ['compressed.qcow2', ['-O', 'qcow2', '-c']],
    ['disk.vhdx', ['-O', 'vhdx']],
    ['disk.vmdk', ['-O', 'vmdk']],
    ['stream.vmdk', ['-O', 'vmdk', '-o', 'subformat=streamOptimized']],
    ['dynamic.vhd', ['-O', 'vpc', '-o', 'subformat=dynamic,force_size=on']],
    ['fixed.vhd', ['-O', 'vpc', '-o', 'subformat=fixed,force_size=on']],
  ])('%s of qemu-img has the content that it was made from', async (name, options) => {
    const source = join(folder, `${name}.source`)
    const content = Buffer.alloc(24 * MiB)
    randomBytes(3 * MiB).copy(content, MiB + 512)
    randomBytes(512).copy(content, content.length - 512)
    writeFileSync(source, content)
    const path = join(folder, name)
    await exec('qemu-img', ['convert', '-f', 'raw', ...options, source, path])
    const tempDir = mkdtempSync(join(folder, 'temp-'))
    const image = await openImageContent(path, { signal, tempDir })
    expect(image.content.sizeBytes).toBe(content.length)
    const target = emptyFile(`${name}.target`, content.length)
    const device = await openFileDevice(target, { readOnly: false })
    const { sha256: written } = await device.writeContent(0, image.content, { signal, isZeroed: true })
    await device.close()
    await image.close()
    expect(written).toBe(sha256(content))
    expect(sha256(readFileSync(target))).toBe(written)
    expect(readdirSync(tempDir)).toEqual([])
  })

  test('a damaged qcow2 fails with the words of qemu-img and leaves nothing', async () => {
    const source = emptyFile('damaged.source', 8 * MiB)
    writeFileSync(source, randomBytes(8 * MiB))
    const path = join(folder, 'damaged.qcow2')
    await exec('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', source, path])
    const bytes = readFileSync(path)
    bytes.fill(0xee, 64 * KiB, 5 * 64 * KiB)
    writeFileSync(path, bytes)
    const tempDir = mkdtempSync(join(folder, 'temp-'))
    await expect(openImageContent(path, { signal, tempDir })).rejects.toThrow(
      expect.objectContaining({
        code: 'device-rejected',
        facts: { 'qemu-img says': expect.stringMatching(/./) },
      }),
    )
    expect(readdirSync(tempDir)).toEqual([])
  })
})
