import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import { sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import type { PrepareUnit } from '#main/drivers/hosts/contract.ts'
import type { FileSystemType, LunAddress } from '#shared/domain/storage.ts'
import { KiB, MiB } from '#shared/units/bytes.ts'
import {
  assertFails,
  endProcess,
  assertGone,
  context,
  mountedUnit,
  never,
  onHost,
  putAway,
  sha256,
  sizeFor,
} from './host-storage-bench.ts'
import type { HostPromise, HostStorageBench } from './host-storage-bench.ts'

const specOf = (lun: LunAddress, more: Partial<PrepareUnit> = {}): PrepareUnit => ({
  lun,
  unitId: randomUUID(),
  partitionTable: 'gpt',
  fileSystem: 'ext4',
  fileSystemUuid: randomUUID(),
  label: 'unit',
  ...more,
})

async function backingBytes(bench: HostStorageBench, lun: LunAddress, offset: number, length: number) {
  const file = await open(bench.backingOf(lun), 'r')
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** What may be on a device that is about to be formatted; written with the host's own tools. */
const signatures: Readonly<Record<string, (device: string) => ShellScript>> = {
  'header at 1 MiB': (device) =>
    sh`printf GANTRYU1 | dd of=${device} bs=1M seek=1 conv=notrunc,fsync status=none`,
  'header at 1.5 MiB': (device) =>
    sh`printf GANTRYU1 | dd of=${device} bs=512K seek=3 conv=notrunc,fsync status=none`,
  'empty GPT': (device) => sh`echo 'label: gpt' | sfdisk -q --no-reread --no-tell-kernel ${device}`,
  'backup GPT alone': (device) => sh`echo 'label: gpt' | sfdisk -q --no-reread --no-tell-kernel ${device}
dd if=/dev/zero of=${device} bs=1M count=1 conv=notrunc,fsync status=none`,
  'empty MBR': (device) => sh`echo 'label: dos' | sfdisk -q --no-reread --no-tell-kernel ${device}`,
  ext4: (device) => sh`mkfs.ext4 -q -F ${device}`,
  xfs: (device) => sh`mkfs.xfs -q -f ${device}`,
  ntfs: (device) => sh`mkntfs -q -Q -F ${device} 2>/dev/null`,
  swap: (device) => sh`mkswap ${device} >/dev/null`,
}

const cycle = (fileSystem: FileSystemType, partitionTable: 'gpt' | 'mbr'): HostPromise => ({
  name: `A5, A9: a unit with ${partitionTable} and ${fileSystem} keeps its content and identity through detach and attach`,
  async run(bench) {
    const { driver } = bench
    const lun = await bench.newLun(sizeFor[fileSystem])
    const { device } = await driver.attachLun(lun).run(context)
    const spec = specOf(lun, { fileSystem, partitionTable })
    const prepared = await driver.prepareUnit(spec).run(context)
    const uuid =
      fileSystem === 'ntfs'
        ? spec.fileSystemUuid.replaceAll('-', '').slice(0, 16).toUpperCase()
        : spec.fileSystemUuid
    assert.equal(prepared.fileSystemUuid, uuid)
    assert.ok(prepared.fileSystemBytes >= sizeFor[fileSystem] - 3 * MiB)

    const table = JSON.parse(await onHost(bench, sh`sfdisk -J ${device}`)) as {
      partitiontable: {
        label: string
        id: string
        partitions: { start: number; size: number; type: string }[]
      }
    }
    const [header, data] = table.partitiontable.partitions
    assert.deepEqual([header?.start, header?.size, data?.start], [2048, 2048, 4096])
    if (partitionTable === 'gpt') {
      assert.equal(table.partitiontable.id.toLowerCase(), spec.unitId)
      assert.equal(header?.type.toLowerCase(), 'afa682cc-4018-451c-93e5-75e1c647da01')
      const type =
        fileSystem === 'ntfs'
          ? 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'
          : '0fc63daf-8483-4772-8e79-3d69d8477de4'
      assert.equal(data?.type.toLowerCase(), type)
    } else assert.deepEqual([header?.type, data?.type], ['da', fileSystem === 'ntfs' ? '7' : '83'])

    await driver.mountUnit(lun, { fileSystem }).run(context)
    assert.equal(await driver.mountUnit(lun, { fileSystem }).run(context), driver.mountPointOf(lun))
    const content = randomBytes(5 * MiB + 17)
    async function* stream(): AsyncGenerator<Uint8Array> {
      yield content
    }
    const received = await driver.receiveFile(lun, 'disk.raw', content.length, stream).run(context)
    await driver.syncUnit(lun).run(context)
    const path = `${driver.mountPointOf(lun)}/disk.raw`
    assert.deepEqual(await driver.hashFiles([{ path, name: 'disk.raw' }]).run(context), [received])
    await putAway(bench, lun)

    await driver.attachLun(lun).run(context)
    await driver.mountUnit(lun, { fileSystem, readOnly: true }).run(context)
    assert.equal((await driver.findAttached(lun, never))?.readOnly, true)
    assert.deepEqual(await driver.hashFiles([{ path, name: 'disk.raw' }]).run(context), [received])
    await putAway(bench, lun)

    assert.equal(await driver.attachMounted(lun, { fileSystem }).run(context), driver.mountPointOf(lun))
    const { mountedAt, readOnly } = (await driver.findAttached(lun, never)) ?? {}
    assert.deepEqual([mountedAt, readOnly], [driver.mountPointOf(lun), false])
    assert.deepEqual(await driver.hashFiles([{ path, name: 'disk.raw' }]).run(context), [received])
    await driver.attachMounted(lun, { fileSystem }).run(context)
    await putAway(bench, lun)
  },
})

export const unitPromises: readonly HostPromise[] = [
  cycle('ext4', 'gpt'),
  cycle('xfs', 'gpt'),
  cycle('ntfs', 'gpt'),
  cycle('ext4', 'mbr'),
  cycle('ntfs', 'mbr'),
  {
    name: 'A10: a device that bears anything is not formatted, and not one byte of it changes',
    async run(bench) {
      for (const [what, write] of Object.entries(signatures)) {
        const lun = await bench.newLun(what === 'xfs' ? sizeFor.xfs : 32 * MiB)
        const { device } = await bench.driver.attachLun(lun).run(context)
        await onHost(bench, write(device))
        const before = await onHost(
          bench,
          sh`sync ${device}; blockdev --flushbufs ${device}; sha256sum <${device}`,
        )
        const work = bench.driver.prepareUnit(specOf(lun)).run(context)
        await assertFails('bad-request', work).catch((error: unknown) => {
          throw new Error(`${what}: ${String(error)}`, { cause: error })
        })
        const after = await onHost(bench, sh`blockdev --flushbufs ${device}; sha256sum <${device}`)
        assert.equal(after, before, what)
        await bench.driver.detachLun(lun).run(context)
      }
    },
  },
  {
    name: 'A10: a prepared unit is not prepared again',
    async run(bench) {
      const lun = await bench.newLun(sizeFor.ext4)
      await bench.driver.attachLun(lun).run(context)
      const spec = specOf(lun)
      await bench.driver.prepareUnit(spec).run(context)
      await assertFails('bad-request', bench.driver.prepareUnit(spec).run(context))
      await bench.driver.detachLun(lun).run(context)
    },
  },
  {
    name: 'a LUN that is too small for XFS is refused before its first byte is written',
    async run(bench) {
      const lun = await bench.newLun(200 * MiB)
      await bench.driver.attachLun(lun).run(context)
      await assertFails(
        'bad-request',
        bench.driver.prepareUnit(specOf(lun, { fileSystem: 'xfs' })).run(context),
      )
      assert.ok((await backingBytes(bench, lun, 0, 64 * KiB)).every((byte) => byte === 0))
      await bench.driver.detachLun(lun).run(context)
    },
  },
  {
    name: 'what is not attached or not mounted is not-found',
    async run(bench) {
      const { driver } = bench
      const lun = await bench.newLun(sizeFor.ext4)
      await assertFails('not-found', driver.prepareUnit(specOf(lun)).run(context))
      await assertFails('not-found', driver.mountUnit(lun, { fileSystem: 'ext4' }).run(context))
      await assertFails('not-found', driver.writeHeader(lun, new Uint8Array(512)).run(context))
      await assertGone(bench, lun)
      await driver.attachLun(lun).run(context)
      const source = `${bench.scratch}/source`
      await onHost(bench, sh`echo text > ${source}`)
      await assertFails('not-found', driver.copyFiles(lun, [{ source, name: 'a' }]).run(context))
      await assertFails('not-found', driver.syncUnit(lun).run(context))
      await driver.unmountUnit(lun).run(context)
      await driver.detachLun(lun).run(context)
      await assertGone(bench, lun)
    },
  },
  {
    name: 'A8: a header is on the LUN when writeHeader ends; other devices and partitions are refused',
    async run(bench) {
      const { driver } = bench
      const lun = await bench.newLun(sizeFor.ext4)
      const { device } = await driver.attachLun(lun).run(context)
      const header = randomBytes(MiB)
      header.write('GANTRYU1')
      await assertFails('bad-request', driver.writeHeader(lun, header).run(context))
      await driver.prepareUnit(specOf(lun)).run(context)
      await driver.writeHeader(lun, header).run(context)
      assert.deepEqual(await backingBytes(bench, lun, MiB, MiB), header)
      const short = Buffer.from('GANTRYU1 of odd length')
      await driver.writeHeader(lun, short).run(context)
      assert.deepEqual(
        await backingBytes(bench, lun, MiB, MiB),
        Buffer.concat([short, header.subarray(short.length)]),
      )
      assert.throws(() => driver.writeHeader(lun, new Uint8Array(MiB + 1)), { code: 'bad-request' })
      await onHost(bench, sh`sfdisk -q --no-reread --no-tell-kernel --part-type ${device} 1 L`)
      await assertFails('bad-request', driver.writeHeader(lun, short).run(context))
      await driver.detachLun(lun).run(context)
      await assertGone(bench, lun)
    },
  },
  {
    name: 'a unit in use is not unmounted; the error names who uses it',
    async run(bench) {
      const lun = await mountedUnit(bench)
      const mnt = bench.driver.mountPointOf(lun)
      const pid = await onHost(bench, sh`cd ${mnt}; sleep 1000 >/dev/null 2>&1 & echo $!`)
      try {
        const error = await assertFails('busy', bench.driver.unmountUnit(lun).run(context))
        assert.match(JSON.stringify(error.facts), new RegExp(`process ${pid}: sleep`))
      } finally {
        await endProcess(bench, pid)
      }
      await putAway(bench, lun)
    },
  },
  {
    name: 'A12: a read-only mount writes nothing to the LUN, and cannot be taken for a writable one',
    async run(bench) {
      for (const fileSystem of ['ext4', 'xfs', 'ntfs'] as const) {
        const lun = await mountedUnit(bench, fileSystem)
        await bench.driver.unmountUnit(lun).run(context)
        const digest = async () => sha256(await readFile(bench.backingOf(lun)))
        const before = await digest()
        await bench.driver.mountUnit(lun, { fileSystem, readOnly: true }).run(context)
        await assertFails('busy', bench.driver.mountUnit(lun, { fileSystem }).run(context))
        await onHost(bench, sh`ls ${bench.driver.mountPointOf(lun)}`)
        await putAway(bench, lun)
        assert.equal(await digest(), before, fileSystem)
      }
    },
  },
]
