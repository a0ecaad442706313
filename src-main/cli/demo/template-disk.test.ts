import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { decodeMbr } from '#main/protocols/gpt/mbr.ts'
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

test('it looks like a disk: one partition within it, behind the sector that counts the boots', () => {
  const { partitions } = decodeMbr(templateDisk())
  expect(partitions).toEqual([
    expect.objectContaining({ firstLba: 2048, sectors: templateDiskBytes / 512 - 2048 }),
  ])
})
