import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { iqnOf, TargetBench } from '#test/support/target-bench.ts'
import { describeLab } from '../describe-lab.ts'

const MiB = 1024 * 1024
const peer = 'iqn.2026-11.lab.peer:any'
/** The name that QEMU takes without one of its own. */
const qemuName = 'iqn.2008-11.org.linux-kvm'
const initiators = [peer, qemuName]
const exec = promisify(execFile)
const run = async (command: string, ...args: string[]): Promise<string> => {
  const { stdout } = await exec(command, args, { timeout: 60_000 })
  return stdout
}

describeLab('the target and other people’s initiators', () => {
  let bench: TargetBench
  beforeEach(async () => {
    bench = await TargetBench.start()
  })
  afterEach(() => bench.close())
  const url = (name: string, credentials = ''): string =>
    `iscsi://${credentials}127.0.0.1:${bench.port}/${iqnOf(name)}/1`

  test('libiscsi finds the LUN, its identity and its size', async () => {
    const { identity } = await bench.addLun('web', { initiators })
    await bench.addLun('other', { initiators: [qemuName] })
    const list = await run('iscsi-ls', '-s', '-i', peer, `iscsi://127.0.0.1:${bench.port}`)
    expect(list).toContain(iqnOf('web'))
    expect(list).not.toContain(iqnOf('other'))
    const inquiry = await run('iscsi-inq', '-i', peer, url('web'))
    expect(inquiry).toContain('Vendor:GANTRY')
    const serial = await run('iscsi-inq', '-i', peer, '-e', '1', '-c', '128', url('web'))
    expect(serial).toContain(`Unit Serial Number:[${identity.serial}]`)
    const capacity = await run('iscsi-readcapacity16', '-i', peer, url('web'))
    expect(capacity).toMatch(/Total size:16777216/)
    expect(capacity).toMatch(/LBPME:1 LBPRZ:1/)
    await expect(run('iscsi-inq', '-i', peer, url('other'))).rejects.toThrow(/Target not found/)
  })

  test('libiscsi proves itself by CHAP', async () => {
    await bench.addLun('web', { initiators })
    bench.target.setChap({ initiator: { name: 'esx1', secret: 'secret-of-the-host' } })
    expect(await run('iscsi-inq', '-i', peer, url('web', 'esx1%secret-of-the-host@'))).toContain('GANTRY')
    await expect(run('iscsi-inq', '-i', peer, url('web', 'esx1%another-secret@'))).rejects.toThrow(/uthenti/)
  })

  test('qemu-img writes a disk, compares it and reads it back; its holes stay holes', async () => {
    const sizeBytes = 64 * MiB
    const { path } = await bench.addLun('web', { initiators, sizeBytes })
    const source = join(bench.folder, 'source.raw')
    const disk = Buffer.alloc(sizeBytes)
    randomBytes(8 * MiB).copy(disk, 3 * MiB)
    randomBytes(512).copy(disk, sizeBytes - 512)
    writeFileSync(source, disk)
    const info = JSON.parse(await run('qemu-img', 'info', '--output=json', url('web'))) as {
      'virtual-size': number
    }
    expect(info['virtual-size']).toBe(sizeBytes)
    await run('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', '-W', '-m', '16', source, url('web'))
    expect(readFileSync(path).equals(disk)).toBe(true)
    expect(statSync(path).blocks * 512).toBeLessThan(12 * MiB)
    expect(await run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', source, url('web'))).toContain(
      'identical',
    )
    const back = join(bench.folder, 'back.qcow2')
    await run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', url('web'), back)
    expect(await run('qemu-img', 'compare', source, back)).toContain('identical')
    const map = JSON.parse(await run('qemu-img', 'map', '--output=json', '-f', 'raw', url('web'))) as {
      data: boolean
      start: number
      length: number
    }[]
    const data = map.filter((extent) => extent.data)
    expect(data[0]).toMatchObject({ start: 3 * MiB, length: 8 * MiB })
  })

  test('qemu-img bench keeps 64 writes and reads under way', async () => {
    await bench.addLun('web', { initiators, sizeBytes: 64 * MiB })
    for (const how of [[], ['-w', '--pattern=65']])
      expect(
        await run(
          'qemu-img',
          'bench',
          '-f',
          'raw',
          '-t',
          'none',
          '-c',
          '5000',
          '-d',
          '64',
          '-s',
          '4096',
          ...how,
          url('web'),
        ),
      ).toContain('Run completed')
  })

  test('a discard of QEMU gives the blocks back', async () => {
    const { path } = await bench.addLun('web', { initiators })
    const io = (...commands: string[]): Promise<string> =>
      run(
        'qemu-io',
        '-f',
        'raw',
        '-d',
        'unmap',
        ...commands.flatMap((command) => ['-c', command]),
        url('web'),
      )
    await io('write -P 0x41 0 8M', 'flush')
    const before = statSync(path).blocks
    await io('discard 1M 4M')
    expect(before - statSync(path).blocks).toBe((4 * MiB) / 512)
    expect(await io('read -P 0 1M 4M', 'read -P 0x41 0 1M')).not.toContain('failed')
    await io('write -z -u 0 1M')
    expect(before - statSync(path).blocks).toBe((5 * MiB) / 512)
  })

  test('qemu-nbd serves the LUN on', async () => {
    const { path } = await bench.addLun('web', { initiators })
    const socket = join(bench.folder, 'nbd.sock')
    const server = spawn('qemu-nbd', [
      '--fork',
      '-f',
      'raw',
      '-k',
      socket,
      '--pid-file',
      `${socket}.pid`,
      url('web'),
    ])
    expect(await once(server, 'exit')).toEqual([0, null])
    const nbd = `nbd+unix:///?socket=${socket}`
    await run('qemu-io', '-f', 'raw', '-c', 'write -P 0x42 512 1M', '-c', 'flush', nbd)
    expect(
      readFileSync(path)
        .subarray(512, 512 + MiB)
        .every((byte) => byte === 0x42),
    ).toBe(true)
  })

  test('iscsi-perf reads at random with 128 commands under way', async () => {
    await bench.addLun('web', { initiators, sizeBytes: 64 * MiB })
    const said = await run('iscsi-perf', '-i', peer, '-m', '128', '-b', '8', '-t', '1', '-r', url('web'))
    expect(Number(/iops average (\d+)/.exec(said)?.[1])).toBeGreaterThan(1000)
  })
})
