import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { templateDisk, templateDiskBytes } from './template-disk.ts'

const hasAssembler = (() => {
  try {
    execFileSync('as', ['--version'], { stdio: 'ignore' })
    return process.arch === 'x64'
  } catch {
    return false
  }
})()

test.runIf(hasAssembler)('the shipped bytes are those of the source', () => {
  const dir = mkdtempSync(join(tmpdir(), 'gantry-boot-'))
  try {
    const object = join(dir, 'boot.o')
    const binary = join(dir, 'boot')
    execFileSync('as', ['--32', '-o', object, join(import.meta.dirname, 'boot-sector.S')])
    execFileSync('ld', ['-m', 'elf_i386', '-Ttext', '0x7c00', '--oformat', 'binary', '-o', binary, object])
    const assembled = readFileSync(binary)
    expect(assembled).toHaveLength(512)
    const shipped = Buffer.from(templateDisk().subarray(0, 512))
    expect(shipped.subarray(0, 446).toString('hex')).toBe(assembled.subarray(0, 446).toString('hex'))
    // the partition table takes what the code leaves free
    expect(assembled.subarray(446, 510).every((byte) => byte === 0)).toBe(true)
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('it looks like a disk: one active partition within it, behind the sector that counts the boots', () => {
  const disk = Buffer.from(templateDisk())
  const [firstLba, sectors] = [disk.readUInt32LE(446 + 8), disk.readUInt32LE(446 + 12)]
  expect([disk[446], firstLba, (firstLba + sectors) * 512]).toEqual([0x80, 2048, templateDiskBytes])
  expect(disk.subarray(510, 512)).toEqual(Buffer.of(0x55, 0xaa))
  expect(disk.subarray(firstLba * 512).toString('latin1')).toMatch(/^Gantry demo, sector 2048\n/)
})
