import assert from 'node:assert/strict'
import { sh } from '#main/transports/shell/script.ts'
import { MiB } from '#shared/units/bytes.ts'
import {
  assertFails,
  assertGone,
  context,
  endProcess,
  eventually,
  findOnHost,
  mountedUnit,
  never,
  onHost,
  putAway,
  sizeFor,
  unitSpec,
} from './host-storage-bench.ts'
import type { HostPromise, HostStorageBench } from './host-storage-bench.ts'

/** Kills a program that serves this LUN and waits until it is gone. */
async function killServer(bench: HostStorageBench, program: string, serial: string): Promise<void> {
  const find = sh`grep -lsaF -e ${serial} /proc/[0-9]*/cmdline | while IFS=/ read -r _ _ pid _; do
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != ${program} ] || echo "$pid"; done`
  const pid = await onHost(bench, find)
  assert.match(pid, /^\d+$/, `one ${program}`)
  await onHost(bench, sh`kill -KILL ${pid}`)
  await eventually(`${program} has ended`, async () => (await onHost(bench, find)) === '')
}

const afterDeathOf = (program: string): HostPromise => ({
  name: `A4: attaching again after the death of ${program} makes a working device`,
  onlyUserSpace: true,
  async run(bench) {
    const lun = await bench.newLun(64 * MiB)
    await bench.driver.attachLun(lun).run(context)
    await killServer(bench, program, lun.serial)
    assert.equal((await bench.driver.findAttached(lun, never))?.partial, true)
    const { device } = await bench.driver.attachLun(lun).run(context)
    await onHost(bench, sh`dd if=${device} of=/dev/null bs=1M count=4 iflag=direct status=none`)
    await bench.driver.detachLun(lun).run(context)
    await assertGone(bench, lun)
  },
})

export const attachPromises: readonly HostPromise[] = [
  {
    name: 'A4: attached, attached again to the same device, detached, detached again',
    async run(bench) {
      const { driver } = bench
      const lun = await bench.newLun(64 * MiB)
      await driver.detachLun(lun).run(context)
      assert.equal(await driver.findAttached(lun, never), undefined)
      const first = await driver.attachLun(lun).run(context)
      assert.equal(await onHost(bench, sh`blockdev --getsize64 ${first.device}`), String(64 * MiB))
      assert.deepEqual(await driver.attachLun(lun).run(context), first)
      assert.deepEqual(await driver.findAttached(lun, never), first)
      assert.equal(await bench.countSessions(lun), 1)
      await driver.detachLun(lun).run(context)
      await assertGone(bench, lun)
      await driver.detachLun(lun).run(context)
    },
  },
  {
    name: 'A14: several LUNs are attached at the same time, each to its own device',
    async run(bench) {
      const luns = await Promise.all([1, 2, 3].map((size) => bench.newLun(size * 32 * MiB)))
      const attached = await Promise.all(luns.map((lun) => bench.driver.attachLun(lun).run(context)))
      assert.equal(new Set(attached.map(({ device }) => device)).size, 3)
      for (const [index, { device }] of attached.entries())
        assert.equal(await onHost(bench, sh`blockdev --getsize64 ${device}`), String((index + 1) * 32 * MiB))
      await Promise.all(luns.map((lun) => bench.driver.detachLun(lun).run(context)))
      for (const lun of luns) await assertGone(bench, lun)
    },
  },
  {
    name: 'two attach calls at once for one LUN give one device',
    async run(bench) {
      const lun = await bench.newLun(64 * MiB)
      const attach = bench.driver.attachLun(lun)
      const [one, two] = await Promise.all([attach.run(context), attach.run(context)])
      assert.deepEqual(one, two)
      assert.equal(await bench.countSessions(lun), 1)
      await bench.driver.detachLun(lun).run(context)
      await assertGone(bench, lun)
    },
  },
  {
    name: 'a device with another serial at the same address is refused and nothing of it stays',
    async run(bench) {
      const lun = await bench.newLun(64 * MiB)
      await bench.replaceLun(lun)
      const error = await assertFails('bad-request', bench.driver.attachLun(lun).run(context))
      assert.match(error.message, /serial/)
      await bench.driver.detachLun(lun).run(context)
      await assertGone(bench, lun)
    },
  },
  {
    name: 'a LUN that is not exported is device-rejected and nothing of it stays',
    async run(bench) {
      const lun = await bench.newLun(64 * MiB)
      const missing = { ...lun, target: `${lun.target}-missing`, serial: `${lun.serial}-m` }
      await assertFails('device-rejected', bench.driver.attachLun(missing).run(context))
      await bench.driver.detachLun(missing).run(context)
      await assertGone(bench, { ...lun, serial: missing.serial })
    },
  },
  {
    name: 'CHAP: a LUN that asks for a login is attached and prepared with the right secret alone, which is in no argument',
    async run(bench) {
      const lun = await bench.newLun(sizeFor.ext4)
      const [secret, wrong] = ['canary "secret" $of a lun', 'canary secret of nobody']
      const login = { user: 'lab$user', password: { from: 'prompt' as const } }
      await bench.askForChap(lun, login.user, secret)
      const attach = (given: string | undefined) => bench.driverThatKnows(given).attachLun(lun, login)
      const plan = attach(secret).commands.join('\n')
      assert.ok(plan.includes(login.user) && !plan.includes(secret))
      for (const given of [wrong, undefined]) {
        const error = await assertFails('auth-failed', attach(given).run(context))
        assert.match(error.message, /secret/)
        assert.ok(!JSON.stringify([error.message, error.advice, error.facts]).includes(wrong))
        await assertGone(bench, lun)
      }
      const without = await assertFails('auth-failed', bench.driver.attachLun(lun).run(context))
      assert.match(without.message, /without CHAP/)
      await assertGone(bench, lun)

      const driver = bench.driverThatKnows(secret)
      const { device } = await driver.attachLun(lun, login).run(context)
      assert.equal(await onHost(bench, sh`blockdev --getsize64 ${device}`), String(sizeFor.ext4))
      const holders = (await findOnHost(bench, secret)).split('\n').filter((name) => name !== '')
      assert.ok(
        holders.every((name) => name.includes('iscsi/nodes')),
        holders.join(' '),
      )
      await driver.prepareUnit({ ...unitSpec(lun), login }).run(context)
      await driver.mountUnit(lun, { fileSystem: 'ext4' }).run(context)
      await driver.attachMounted(lun, { fileSystem: 'ext4' }, login).run(context)
      await putAway(bench, lun)
      assert.equal(await findOnHost(bench, secret), '')
    },
  },
  {
    name: 'A7: a mounted LUN is not detached; the mount goes on working',
    async run(bench) {
      const lun = await mountedUnit(bench)
      const error = await assertFails('busy', bench.driver.detachLun(lun).run(context))
      assert.match(JSON.stringify(error.facts), /mnt/)
      await onHost(bench, sh`echo text > ${`${bench.driver.mountPointOf(lun)}/file`}`)
      await bench.driver.syncUnit(lun).run(context)
      assert.deepEqual(await bench.driver.findAttached(lun, never), {
        device: (await bench.driver.findAttached(lun, never))?.device,
        mountedAt: bench.driver.mountPointOf(lun),
        readOnly: false,
      })
      await putAway(bench, lun)
    },
  },
  {
    name: 'A7: a LUN whose device a process has open is not detached; the error names the process',
    async run(bench) {
      const lun = await bench.newLun(64 * MiB)
      const { device } = await bench.driver.attachLun(lun).run(context)
      const pid = await onHost(bench, sh`sleep 1000 <${device} >/dev/null 2>&1 & echo $!`)
      try {
        const error = await assertFails('busy', bench.driver.detachLun(lun).run(context))
        assert.match(JSON.stringify(error.facts), new RegExp(`process ${pid}: sleep`))
      } finally {
        await endProcess(bench, pid)
      }
      await bench.driver.detachLun(lun).run(context)
      await assertGone(bench, lun)
    },
  },
  {
    name: 'an address that could mean something else in a command is refused before anything is sent',
    async run(bench) {
      const lun = await bench.newLun(64 * MiB)
      for (const bad of [
        { serial: '../../etc' },
        { serial: '-rf' },
        { target: `${lun.target},lun=2` },
        { portal: '127.0.0.1:1,target=x' },
        { portal: '127.0.0.1' },
      ])
        assert.throws(() => bench.driver.attachLun({ ...lun, ...bad }), { code: 'bad-request' })
    },
  },
  {
    name: 'A5: partitions that another user of the loop device has left do not count as content of an empty LUN',
    onlyUserSpace: true,
    async run(bench) {
      const file = `${bench.scratch}/partitioned`
      await onHost(
        bench,
        sh`truncate -s 16M ${file}; printf 'label: gpt\n,4M\n' | sfdisk -q ${file}
loop=$(losetup --find --show ${file}); partx -a "$loop"; losetup -d "$loop"`,
      )
      await putAway(bench, await mountedUnit(bench))
    },
  },
  afterDeathOf('qemu-nbd'),
  afterDeathOf('nbdfuse'),
  {
    name: 'a unit that is mounted from a dead device is made anew by attaching, and its content is there',
    onlyUserSpace: true,
    async run(bench) {
      const lun = await mountedUnit(bench)
      const file = `${bench.driver.mountPointOf(lun)}/file`
      await onHost(bench, sh`echo text > ${file}`)
      await bench.driver.syncUnit(lun).run(context)
      await killServer(bench, 'qemu-nbd', lun.serial)
      await bench.driver.attachLun(lun).run(context)
      await bench.driver.mountUnit(lun, { fileSystem: 'ext4' }).run(context)
      assert.equal(await onHost(bench, sh`cat ${file}`), 'text')
      await putAway(bench, lun)
    },
  },
]
