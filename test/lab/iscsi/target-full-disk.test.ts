import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { RawInitiator } from '#test/support/raw-initiator.ts'
import { TargetBench } from '#test/support/target-bench.ts'
import { describeLab } from '../describe-lab.ts'

const MiB = 1024 * 1024

describeLab('a volume without room', () => {
  let bench: TargetBench
  let volume = ''
  beforeEach(async () => {
    bench = await TargetBench.start()
    volume = join(bench.folder, 'volume')
    mkdirSync(volume)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', volume])
  })
  afterEach(async () => {
    await bench.target.close()
    execFileSync('umount', [volume])
    await bench.close()
  })
  const writeAt = (session: RawInitiator, mebibyte: number) =>
    session.command(
      { kind: 'write', length: 10, lba: mebibyte * 2048, blocks: 2048 },
      { out: Buffer.alloc(MiB, 0x41) },
    )

  test('is told as such, so that a host can stop its VM and go on when there is room', async () => {
    await bench.addLun('web', { path: join(volume, 'web.lun') })
    const session = await bench.login('web')
    const senses: string[] = []
    for (let at = 0; at < 6; at++) senses.push((await writeAt(session, at)).sense)
    expect(senses).toEqual(['', '', '', '', ...Array<string>(2).fill('7h 27h/07h spaceAllocationFailed')])
    expect(bench.troubles).toHaveLength(1)
    expect(bench.troubles[0]).toMatch(/web\.lun: ENOSPC/)

    const list = Buffer.alloc(24)
    list.writeUInt16BE(22, 0)
    list.writeUInt16BE(16, 2)
    list.writeUInt32BE(2048, 16)
    await session.command({ kind: 'unmap', parameterLength: 24 }, { out: list })
    expect(await writeAt(session, 5)).toMatchObject({ status: 0, sense: '' })
    const read = await session.command({ kind: 'read', length: 10, lba: 10_240, blocks: 1 }, { inBytes: 512 })
    expect(read.data.equals(Buffer.alloc(512, 0x41))).toBe(true)
  })
})
