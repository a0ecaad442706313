import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { sh } from '#main/transports/shell/script.ts'
import type { ByteProgress } from '#main/drivers/action.ts'
import { MiB } from '#shared/units/bytes.ts'
import {
  assertFails,
  context,
  eventually,
  mountedUnit,
  onHost,
  putAway,
  sha256,
} from './host-storage-bench.ts'
import type { HostPromise } from './host-storage-bench.ts'

async function* chunked(bytes: Uint8Array, size = 100_000): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += size) yield bytes.subarray(offset, offset + size)
}

const oddNames = [
  'plain',
  'with space',
  `quote's`,
  'double "quotes"',
  'line\nbreak',
  '$(touch injected)',
  '`id`',
  '-rf',
  'back\\slash',
  'ümlaut 名',
  '*',
]

export const filePromises: readonly HostPromise[] = [
  {
    name: 'A4: attached for reading only where the array exports it so; its files are sent to the console',
    async run(bench) {
      const { driver } = bench
      const lun = await mountedUnit(bench)
      const bytes = randomBytes(3 * MiB + 5)
      await driver.receiveFile(lun, 'file', bytes.length, () => chunked(bytes)).run(context)
      await driver.syncUnit(lun).run(context)
      await putAway(bench, lun)
      await bench.protectLun(lun)
      const { device } = await driver.attachLun(lun).run(context)
      assert.equal(await onHost(bench, sh`blockdev --getro ${device}`), '1')
      await driver.mountUnit(lun, { fileSystem: 'ext4', readOnly: true }).run(context)
      const chunks: Uint8Array[] = []
      const take = async (chunk: Uint8Array): Promise<void> => void chunks.push(Buffer.from(chunk))
      const seen: ByteProgress[] = []
      const sent = await driver
        .sendFile(lun, 'file', bytes.length, take)
        .run({ ...context, report: (progress) => seen.push(progress) })
      assert.deepEqual(sent, { name: 'file', sizeBytes: bytes.length, sha256: sha256(bytes) })
      assert.ok(Buffer.concat(chunks).equals(bytes))
      assert.deepEqual(seen.at(-1), { bytes: bytes.length, totalBytes: bytes.length })
      await assertFails('stale', driver.sendFile(lun, 'file', bytes.length + 1, take).run(context))
      await assertFails('not-found', driver.sendFile(lun, 'absent', 1, take).run(context))
      const refusal = new Error('no room')
      const refusing = driver.sendFile(lun, 'file', bytes.length, () => Promise.reject(refusal))
      await assert.rejects(refusing.run(context), (error) => error === refusal)
      await putAway(bench, lun)
    },
  },
  {
    name: 'A6: files of any name are copied whole, with their holes and with progress',
    async run(bench) {
      const lun = await mountedUnit(bench)
      const files = oddNames.map((name, index) => ({
        source: `${bench.scratch}/${name}`,
        name: `file-${index}`,
      }))
      for (const [index, { source }] of files.entries())
        await onHost(bench, sh`head -c ${index * 1000 + 1} /dev/urandom >${source}`)
      const sparse = { source: `${bench.scratch}/sparse`, name: 'sparse' }
      await onHost(
        bench,
        sh`head -c 1048576 /dev/urandom >${sparse.source}; truncate -s 40M ${sparse.source}
head -c 8388608 /dev/zero >>${sparse.source}`,
      )
      const seen: ByteProgress[] = []
      const all = [...files, sparse]
      await bench.driver.copyFiles(lun, all).run({ ...context, report: (progress) => seen.push(progress) })
      await bench.driver.syncUnit(lun).run(context)
      const mnt = bench.driver.mountPointOf(lun)
      const sums = await bench.driver
        .hashFiles(
          all.flatMap(({ source, name }) => [
            { path: source, name },
            { path: `${mnt}/${name}`, name },
          ]),
        )
        .run(context)
      for (let index = 0; index < sums.length; index += 2) assert.deepEqual(sums[index], sums[index + 1])
      assert.equal(
        await onHost(bench, sh`sha256sum <${`${bench.scratch}/with space`} | cut -c 1-64`),
        sums[2]?.sha256,
      )
      const blocks = Number(await onHost(bench, sh`stat -c %b ${`${mnt}/sparse`}`))
      assert.ok(blocks * 512 <= 2 * MiB, `${blocks} blocks: written zeros and holes take no space`)
      const last = seen.at(-1)
      assert.equal(last?.bytes, last?.totalBytes)
      assert.ok(seen.every(({ bytes }, index) => bytes >= (seen[index - 1]?.bytes ?? 0)))
      assert.equal(
        await onHost(bench, sh`ls -A ${mnt} | grep -c . `),
        String(all.length + 1),
        'and lost+found',
      )
      await putAway(bench, lun)
    },
  },
  {
    name: 'a source that is not a regular file is not-found, before anything is written',
    async run(bench) {
      const lun = await mountedUnit(bench)
      const good = `${bench.scratch}/good`
      await onHost(bench, sh`echo text >${good}`)
      for (const source of [`${bench.scratch}/missing`, bench.scratch, '/dev/zero'])
        await assertFails(
          'not-found',
          bench.driver
            .copyFiles(lun, [
              { source: good, name: 'good' },
              { source, name: 'bad' },
            ])
            .run(context),
        )
      assert.equal(await onHost(bench, sh`ls ${bench.driver.mountPointOf(lun)}`), 'lost+found')
      await assertFails(
        'not-found',
        bench.driver.hashFiles([{ path: bench.scratch, name: 'x' }]).run(context),
      )
      for (const name of ['../up', 'a/b', '..', ''])
        assert.throws(() => bench.driver.copyFiles(lun, [{ source: good, name }]), { code: 'bad-request' })
      await putAway(bench, lun)
    },
  },
  {
    name: 'a cancelled copy leaves no process, and can be repeated',
    async run(bench) {
      const lun = await mountedUnit(bench, 'ext4')
      const source = `${bench.scratch}/fifo-fed`
      // larger than the unit, so that it certainly still runs when it is cancelled
      await onHost(
        bench,
        sh`head -c 1048576 /dev/urandom >${source}; i=0
while [ $i -lt 6 ]; do cat ${source} ${source} >${`${source}2`}; mv ${`${source}2`} ${source}; i=$((i+1)); done`,
      )
      const stop = new AbortController()
      const work = bench.driver
        .copyFiles(lun, [{ source, name: 'big' }])
        .run({ signal: stop.signal, report: () => stop.abort() })
      await assertFails('cancelled', work)
      await eventually(
        'no cp',
        async () =>
          (await onHost(
            bench,
            sh`for pid in $(pgrep -x cp || true); do tr '\\0' ' ' <"/proc/$pid/cmdline"; done 2>/dev/null | grep -F ${source} || true`,
          )) === '',
      )
      await bench.driver.copyFiles(lun, [{ source, name: 'big' }]).run(context)
      await onHost(bench, sh`cmp ${source} ${`${bench.driver.mountPointOf(lun)}/big`}`)
      await onHost(bench, sh`rm ${source}`)
      await putAway(bench, lun)
    },
  },
  {
    name: 'a stream is received whole: its zeros are holes, its checksum is that of the file',
    async run(bench) {
      const lun = await mountedUnit(bench)
      const content = Buffer.concat([
        randomBytes(MiB),
        Buffer.alloc(8 * MiB),
        randomBytes(7),
        Buffer.alloc(3 * MiB + 5),
      ])
      let last: ByteProgress | undefined
      const received = await bench.driver
        .receiveFile(lun, 'a b', content.length, () => chunked(content))
        .run({ ...context, report: (progress) => (last = progress) })
      assert.deepEqual(received, { name: 'a b', sizeBytes: content.length, sha256: sha256(content) })
      assert.deepEqual(last, { bytes: content.length, totalBytes: content.length })
      await bench.driver.syncUnit(lun).run(context)
      const path = `${bench.driver.mountPointOf(lun)}/a b`
      assert.deepEqual(await bench.driver.hashFiles([{ path, name: 'a b' }]).run(context), [received])
      assert.ok(Number(await onHost(bench, sh`stat -c %b ${path}`)) * 512 < 2 * MiB)
      const empty = await bench.driver
        .receiveFile(lun, 'empty', 0, () => chunked(Buffer.alloc(0)))
        .run(context)
      assert.equal(empty.sha256, sha256(Buffer.alloc(0)))
      await putAway(bench, lun)
    },
  },
  {
    name: 'a stream that is short, long or fails leaves no file',
    async run(bench) {
      const lun = await mountedUnit(bench)
      const content = randomBytes(300_000)
      for (const announced of [content.length - 1, content.length + 1, 0])
        await assertFails(
          'bad-request',
          bench.driver.receiveFile(lun, 'file', announced, () => chunked(content)).run(context),
        )
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield content
        throw new Error('the source broke')
      }
      await assert.rejects(
        bench.driver.receiveFile(lun, 'file', 400_000, failing).run(context),
        /the source broke/,
      )
      const stop = new AbortController()
      async function* cancelled(): AsyncGenerator<Uint8Array> {
        yield content
        stop.abort()
        yield content
      }
      await assertFails(
        'cancelled',
        bench.driver.receiveFile(lun, 'file', 900_000, cancelled).run({ signal: stop.signal }),
      )
      const mnt = bench.driver.mountPointOf(lun)
      await eventually('no file', async () => (await onHost(bench, sh`ls ${mnt}`)) === 'lost+found')
      await putAway(bench, lun)
    },
  },
  {
    name: 'A6: checksums are of what the array has, not of what the host remembers',
    async run(bench) {
      for (const fileSystem of ['ext4', 'xfs', 'ntfs'] as const) {
        const lun = await mountedUnit(bench, fileSystem)
        const content = Buffer.alloc(6 * MiB, `${fileSystem} content that is easily found. `)
        const received = await bench.driver
          .receiveFile(lun, 'file', content.length, () => chunked(content))
          .run(context)
        await bench.driver.syncUnit(lun).run(context)
        const path = `${bench.driver.mountPointOf(lun)}/file`
        const hash = async () =>
          (await bench.driver.hashFiles([{ path, name: 'file' }]).run(context))[0]?.sha256
        assert.equal(await hash(), received.sha256)
        // one byte changes on the array, behind the host's back
        const backing = await open(bench.backingOf(lun), 'r+')
        const image = await backing.readFile()
        const at = image.indexOf(content.subarray(0, 4096), 4 * MiB)
        assert.ok(at > 0, 'the content is on the array')
        await backing.write(Buffer.from('!'), 0, 1, at + 100)
        await backing.close()
        assert.notEqual(await hash(), received.sha256, fileSystem)
        await putAway(bench, lun)
      }
    },
  },
  {
    name: 'a full volume under the LUN shows in syncUnit at the latest',
    async run(bench) {
      for (const fileSystem of ['ext4', 'ntfs'] as const) {
        const lun = await mountedUnit(bench, fileSystem, true)
        const content = randomBytes(80 * MiB)
        const fill = async () => {
          await bench.driver.receiveFile(lun, 'file', content.length, () => chunked(content)).run(context)
          await bench.driver.syncUnit(lun).run(context)
        }
        const error = await assertFails('device-rejected', fill())
        assert.match(error.advice ?? '', /full|free/)
        await putAway(bench, lun)
      }
    },
  },
  {
    name: 'a full file system is device-rejected and says so',
    async run(bench) {
      const lun = await mountedUnit(bench)
      const content = randomBytes(97 * MiB)
      const error = await assertFails(
        'device-rejected',
        bench.driver.receiveFile(lun, 'file', content.length, () => chunked(content)).run(context),
      )
      assert.match(error.message, /full/)
      await putAway(bench, lun)
    },
  },
  {
    name: 'images of every format become qcow2 and keep their content; the original goes',
    async run(bench) {
      const lun = await mountedUnit(bench)
      const { driver } = bench
      const mnt = driver.mountPointOf(lun)
      const original = `${bench.scratch}/original`
      await onHost(bench, sh`head -c 3145728 /dev/urandom >${original}; truncate -s 8M ${original}`)
      for (const [format, name] of [
        ['raw', 'raw'],
        ['qcow2', 'qcow2'],
        ['vhd', 'vpc'],
        ['vhdx', 'vhdx'],
        ['vmdk', 'vmdk'],
      ] as const) {
        const file = `disk one.${format}`
        await onHost(bench, sh`qemu-img convert -f raw -O ${name} ${original} ${`${mnt}/${file}`}`)
        const action = driver.convertImage(lun, { name: file, format }, `${format}.img`)
        await action.run(context)
        await action.run(context)
        await onHost(bench, sh`qemu-img compare -f raw -F qcow2 ${original} ${`${mnt}/${format}.img`}`)
      }
      assert.equal((await onHost(bench, sh`ls ${mnt}`)).split('\n').length, 6)
      await onHost(bench, sh`qemu-img create -q -f qcow2 -F raw -b ${original} ${`${mnt}/based`}`)
      await assertFails(
        'bad-request',
        driver.convertImage(lun, { name: 'based', format: 'qcow2' }, 'out').run(context),
      )
      await onHost(bench, sh`echo text >${`${mnt}/text`}`)
      await assertFails(
        'bad-request',
        driver.convertImage(lun, { name: 'text', format: 'vmdk' }, 'out').run(context),
      )
      await assertFails(
        'not-found',
        driver.convertImage(lun, { name: 'none', format: 'raw' }, 'out').run(context),
      )
      await putAway(bench, lun)
    },
  },
]
