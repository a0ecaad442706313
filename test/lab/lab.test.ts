import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeLab, theLab } from './describe-lab.ts'
import { waitFor } from './exec.ts'
import { diffDevices, lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import { bringUpLab, findLab, takeDownLab } from './lab.ts'
import type { Lab } from './lab.ts'
import { leftoversOf, loopsUnder } from './leftovers.ts'
import { startProcess } from './processes.ts'
import { labKeys, runOverSsh } from './ssh.ts'

const virsh = 'virsh -q -c qemu:///system'
const MiB = 1024 * 1024

/** Starts a template's domain with its serial console in a file, waits for VMREADY, ends it. Returns the line. */
async function bootOnce(lab: Lab, domain: string): Promise<string> {
  const log = join(lab.state.host.stateDir, `${domain}.serial`)
  const { stdout: xml } = await lab.host.machine.run(`${virsh} dumpxml --inactive ${domain}`)
  const definition = join(lab.dir, 'host', `${domain}.xml`)
  writeFileSync(definition, xml.replace("<serial type='pty'>", `<serial type='pty'><log file='${log}'/>`))
  try {
    await lab.host.machine.run(`${virsh} create ${definition}`)
    return await waitFor(
      `${domain} to print VMREADY`,
      () => (existsSync(log) ? /VMREADY .*boots=.*$/m.exec(readFileSync(log, 'utf8'))?.[0] : undefined),
      60_000,
    )
  } finally {
    await lab.host.machine.run(`${virsh} destroy ${domain}`)
    for (const file of [log, definition]) rmSync(file, { force: true })
  }
}

describeLab('the lab', () => {
  test('array and host answer over SSH, each as its own machine', async () => {
    const { state } = theLab()
    const keys = labKeys(state.dir)
    const array = await runOverSsh(keys, state.array.sshPort, `hostname; ls -d ${state.array.volumes.vol1}/.`)
    expect(array.stdout).toBe(`lab-array\n${state.array.volumes.vol1}/.\n`)
    const host = await runOverSsh(keys, state.host.sshPort, `hostname; ls ${state.dir}/array | wc -l`)
    expect(host.stdout, 'the host sees nothing of the array').toBe('lab-host\n0\n')
  })

  test('the user without rights logs in on the host and may not use libvirt', async () => {
    const { state } = theLab()
    const user = state.host.userWithoutRights
    const options = { user, expectExit: [1] }
    const answer = await runOverSsh(labKeys(state.dir), state.host.sshPort, `${virsh} list`, options)
    expect(answer.stderr).toContain('Permission denied')
  })

  test('the configurations are what the console takes', () => {
    const lab = theLab()
    expect(lab.arrayConfig({ lunLimitPerVolume: 3 }).settings).toMatchObject({
      lunLimitPerVolume: 3,
      tgtControlPort: lab.state.array.tgtControlPort,
    })
    expect(lab.hostConfig().settings.initiatorName).toBe(lab.state.host.iqn)
    expect(lab.guestConfig().settings.portals).toEqual({ 'lab-array': lab.state.guest.portalAsSeen })
  })

  test('a VM of the template starts and tells its name and UUID', async () => {
    const lab = theLab()
    const { stdout: uuid } = await lab.host.machine.run(`${virsh} domuuid ${lab.state.template.domain}`)
    expect(await bootOnce(lab, lab.state.template.domain)).toContain(
      `VMREADY gantry-template ${uuid.trim()} `,
    )
  })

  test('a VM of the tiny template starts, tells its name and UUID and counts its boots on its disk', async () => {
    const lab = theLab()
    const { domain } = lab.state.tiny
    const { stdout: uuid } = await lab.host.machine.run(`${virsh} domuuid ${domain}`)
    const first = await bootOnce(lab, domain)
    expect(first).toMatch(new RegExp(`^VMREADY gantry-tiny ${uuid.trim()} boots=`))
    expect(await bootOnce(lab, domain)).not.toBe(first)
  })

  test('tgtd can be killed and started; it has lost its targets then', async () => {
    const lab = theLab()
    const tgtadm = `tgtadm -C ${lab.state.array.tgtControlPort} --lld iscsi`
    await lab.array.machine.run(`${tgtadm} --op new --mode target --tid 1 -T iqn.2026-11.gantry.lab:lost`)
    expect(await lab.array.showTargets()).toContain('gantry.lab:lost')
    await lab.killArrayDaemon()
    await expect(lab.array.showTargets()).rejects.toThrow('tgtadm')
    await lab.startArrayDaemon()
    expect(await lab.array.showTargets()).not.toContain('gantry.lab:lost')
  })

  test('the SSH server of the host can be stopped and started', async () => {
    const lab = theLab()
    const run = () =>
      runOverSsh(labKeys(lab.dir), lab.state.host.sshPort, 'echo up', { expectExit: [0, 255] })
    await lab.host.machine.stopSshd()
    expect((await run()).exitCode).toBe(255)
    await lab.host.machine.startSshd()
    expect((await run()).stdout).toBe('up\n')
  })

  test('the host can lose its power and come back with its domains', async () => {
    const { host } = theLab()
    await host.machine.stop()
    expect(host.machine.isUp()).toBe(false)
    await host.start()
    const { stdout } = await host.machine.run(`${virsh} list --all --name`)
    expect(stdout.trim().split('\n').toSorted()).toEqual(['gantry-template', 'gantry-tiny'])
  })

  test('everything that is left behind shows in the inventory, and nothing else does', async () => {
    const lab = theLab()
    const { vol1 } = lab.state.array.volumes
    const { stateDir } = lab.state.host
    const tgtadm = `tgtadm -C ${lab.state.array.tgtControlPort} --lld iscsi`
    const before = await observeDevices(lab, { hash: true })
    expect(diffDevices(before, await observeDevices(lab, { hash: true }))).toEqual([])

    await lab.array.machine.run(`
      echo forgotten > ${vol1}/forgotten.ctr
      truncate -s 1M ${vol1}/forgotten.ctr
      ${tgtadm} --op new --mode target --tid 5 -T iqn.2026-11.gantry.lab:forgotten
      ${tgtadm} --op new --mode logicalunit --tid 5 --lun 1 -b ${vol1}/forgotten.ctr
      ${tgtadm} --op bind --mode target --tid 5 --initiator-name ${lab.state.host.iqn}`)
    await lab.host.machine.run(`
      mkdir ${stateDir}/mnt
      truncate -s 8M ${stateDir}/disk
      mkfs.ext4 -q ${stateDir}/disk
      mount $(losetup -f --show ${stateDir}/disk) ${stateDir}/mnt
      setsid sleep 1234 > /dev/null 2>&1 < /dev/null &
      ${virsh} dumpxml ${lab.state.tiny.domain} | sed -e s/gantry-tiny/forgotten/ -e /uuid/d | ${virsh} define /dev/stdin`)

    const found = diffDevices(before, await observeDevices(lab, { hash: true })).join('\n')
    expect(found).toContain(`array: ${vol1}/forgotten.ctr is new: file of 1048576 bytes, sha256`)
    expect(found).toContain(
      `target iqn.2026-11.gantry.lab:forgotten is new: open to ${lab.state.host.iqn}, sess`,
    )
    expect(found).toContain(`LUN 1 of target iqn.2026-11.gantry.lab:forgotten is new: ${vol1}/forgotten.ctr`)
    expect(found).toContain(`host: mount ${stateDir}/mnt is new: ext4 of /dev/loopN`)
    expect(found).toContain(`host: loop device over ${stateDir}/disk is new`)
    expect(found).toContain('host: process sleep 1234 is new')
    expect(found).toMatch(/host: VM forgotten \S+ is new: shut off/)

    await lab.array.machine.run(`
      ${tgtadm} --op delete --force --mode target --tid 5
      rm ${vol1}/forgotten.ctr`)
    await lab.host.machine.run(`
      device=$(findmnt -n -o SOURCE ${stateDir}/mnt)
      umount ${stateDir}/mnt
      losetup -d "$device"
      rm -r ${stateDir}/mnt ${stateDir}/disk
      kill $(pgrep -f '^sleep 1234')
      ${virsh} undefine forgotten`)
    expect(await lastingDifferences(lab, before, { hash: true })).toEqual([])
  })
})

/** Number of the attachment of a loop device, never used twice; undefined: not attached. */
function loopAttachment(device: string): string | undefined {
  const folder = `/sys/block/${device}`
  return existsSync(`${folder}/loop`) ? readFileSync(`${folder}/diskseq`, 'utf8').trim() : undefined
}

/** `up` as a process of its own, to be killed. */
function spawnUp(dir: string): { kill(): Promise<void> } {
  const up = spawn(process.execPath, [join(import.meta.dirname, 'up.ts'), '--dir', dir], { stdio: 'ignore' })
  const ended = once(up, 'exit')
  return {
    kill: async () => {
      up.kill('SIGKILL')
      await ended
    },
  }
}

describeLab('bringing up and taking down', () => {
  let base = ''
  beforeAll(() => {
    base = mkdtempSync(join(tmpdir(), 'gantry-lab-test-'))
  })
  afterAll(() => rmSync(base, { recursive: true }))
  const bringUp = (dir: string) => bringUpLab({ dir, volumeBytes: 512 * MiB, smallVolumeBytes: 300 * MiB })

  test('up twice is the same lab; down, also with a VM running and a unit attached and in use, leaves nothing; down twice is fine', async () => {
    const dir = join(base, 'twice')
    const lab = await bringUp(dir)
    expect((await bringUp(dir)).state).toEqual(lab.state)
    const { stateDir } = lab.state.host
    const { stdout } = await lab.host.machine.run(`
      set -e
      ${virsh} start ${lab.state.tiny.domain}
      cd ${stateDir}
      mkdir mnt
      truncate -s 8M disk
      mkfs.ext4 -q disk
      qemu-nbd --fork -t -k ${stateDir}/socket -f raw disk
      : > attached
      setsid nbdfuse -P ${stateDir}/pid attached --unix socket > /dev/null 2>&1 < /dev/null &
      until [ -s pid ]; do :; done
      device=$(losetup -f --show attached)
      mount "$device" mnt
      cd mnt
      setsid sleep 1234 > /dev/null 2>&1 < /dev/null &
      echo "$device"`)
    const device = basename(stdout.trim())
    expect(loopsUnder(dir).map((loop) => loop.file)).toContain(`${stateDir}/attached`)
    // A loop device whose FUSE file is gone can't be told by its file any more, hence by device and attachment.
    const attachment = loopAttachment(device)
    expect(attachment).toBeDefined()
    await takeDownLab(dir)
    expect(leftoversOf(dir)).toEqual([])
    expect(loopAttachment(device)).not.toBe(attachment)
    await takeDownLab(dir)
  })

  test.each([
    '.gantry-lab',
    'run/up.pid',
    'ssh/known_hosts',
    'array/vol1.img',
    'run/host.pid',
    'array/log/tgtd.log',
  ])('an up that was killed when it had just made %s is taken down without a trace', async (file) => {
    const dir = join(base, 'killed')
    const up = spawnUp(dir)
    await waitFor(file, () => existsSync(join(dir, file)), 60_000)
    await up.kill()
    await takeDownLab(dir)
    expect(leftoversOf(dir)).toEqual([])
  })

  test('a lab that another process is bringing up is left alone', async () => {
    const dir = join(base, 'busy')
    const up = spawnUp(dir)
    await waitFor('up to begin', () => existsSync(join(dir, 'run/up.pid')), 60_000)
    await expect(takeDownLab(dir)).rejects.toThrow('is bringing up the lab')
    await expect(bringUp(dir)).rejects.toThrow('is bringing up the lab')
    await up.kill()
    await takeDownLab(dir)
    expect(leftoversOf(dir)).toEqual([])
  })

  test('up takes down first what an interrupted up left', async () => {
    const dir = join(base, 'half')
    const lab = await bringUp(dir)
    rmSync(join(dir, 'lab.json')) // written last: without it the lab counts as half up
    expect(findLab(dir)).toBeUndefined()
    const again = await bringUp(dir)
    expect(findLab(dir)?.state).toEqual(again.state)
    expect(again.state.array.portal, 'another one').not.toBe(lab.state.array.portal)
    await takeDownLab(dir)
    expect(leftoversOf(dir)).toEqual([])
  })

  test('a process of the lab that is not in its records is found and ended', async () => {
    const dir = join(base, 'stray')
    await bringUp(dir)
    const stray = { labDir: dir, runDir: join(dir, 'run'), logFile: join(dir, 'stray.log') }
    const { pid } = await startProcess({ ...stray, name: 'stray', command: ['sleep', '1234'] })
    rmSync(join(dir, 'run', 'stray.pid'))
    expect(leftoversOf(dir)).toContain(`process ${pid}: sleep 1234`)
    await takeDownLab(dir)
    expect(leftoversOf(dir)).toEqual([])
  })

  test('a folder that is not a lab is refused by up and by down, and keeps its files', async () => {
    const dir = join(base, 'precious')
    mkdirSync(dir)
    writeFileSync(join(dir, 'thesis'), 'years of work')
    await expect(takeDownLab(dir)).rejects.toThrow('not a lab')
    await expect(bringUp(dir)).rejects.toThrow('not a lab')
    expect(readFileSync(join(dir, 'thesis'), 'utf8')).toBe('years of work')
  })

  test('a folder behind a symbolic link is a lab under its own path', async () => {
    mkdirSync(join(base, 'real'))
    symlinkSync(join(base, 'real'), join(base, 'link'))
    const lab = await bringUp(join(base, 'link', 'lab'))
    expect(lab.dir).toBe(join(base, 'real', 'lab'))
    await takeDownLab(join(base, 'link', 'lab'))
    expect(leftoversOf(lab.dir)).toEqual([])
  })

  test('a folder that machines see differently, or that would not survive as a mount option, is refused', async () => {
    for (const dir of ['/run/lab', '/var/lib/x', '/tmp/a b', '/tmp/a,b', `/tmp/${'x'.repeat(70)}`])
      await expect(bringUp(dir), dir).rejects.toThrow(/use a folder|can't be in/)
  })
})
