import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inventoryCalls } from '#shared/contract/inventory.ts'
import { describeLab, theLab } from './describe-lab.ts'
import { GantryCommand, guestOptions, sshOptions } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import { ask, expectUp, hashFile, listDeployments, makeLastingFolders, runJobs } from './main-job-support.ts'
import { watchPrograms } from './watched-programs.ts'

const secret = 'canary,secret "of" the laptop'

describeLab('the array of this computer, for real hosts', () => {
  let lab: Lab
  let gantry: GantryCommand
  let folder: string

  beforeAll(async () => {
    lab = theLab()
    await lab.ensureGuest()
    await makeLastingFolders(lab)
    folder = mkdtempSync(join(tmpdir(), 'gantry-laptop-'))
    mkdirSync(join(folder, 'vol1'))
    gantry = new GantryCommand(undefined, { LAPTOP_SECRET: secret })
    await gantry.addLab(lab)
    await gantry.ok([
      ...['array', 'add', 'laptop', '--driver', 'embedded', '--volume', `vol1=${join(folder, 'vol1')}`],
      ...['--open-to-network', '--chap-user', 'field,engineer', '--chap-secret-env', 'LAPTOP_SECRET'],
    ])
    const arrays = await ask(gantry, inventoryCalls['inventory.listArrays'].output, ['array', 'list'])
    const laptop = arrays.find(({ config }) => config.name === 'laptop')
    const port = /\d+$/.exec(laptop?.config.settings.portal ?? '')?.[0]
    const asSeen = lab.state.guest.portalAsSeen.replace(/:\d+$/, `:${port}`)
    await gantry.ok([
      ...['host', 'add', 'guest', ...sshOptions(lab, 'guest'), ...guestOptions(lab)],
      ...['--portal', `laptop=${asSeen}`],
    ])
  }, 1_500_000)
  afterAll(async () => {
    await gantry.run(['decommission', 'over-kernel', 'over-library', '--yes'])
    await gantry.run(['array', 'stop', 'laptop', '--force'])
    gantry.dispose()
    rmSync(folder, { recursive: true, force: true })
  })

  /**
   * Notes the arguments of the programs that end at once. The check: the secret is in none of them, in no file of the
   * console, the serving process and the hosts, and in no argument or environment of what runs there.
   */
  async function watchForSecret(): Promise<{ expectNowhere(): Promise<void>; stop(): Promise<void> }> {
    const onHost = await watchPrograms(lab.host.machine, ['/usr/bin/iscsi-inq'])
    const [wrapper, calls] = ['/usr/local/sbin/iscsiadm', '/run/iscsiadm.calls']
    await lab.guest.run(`set -eu
      printf '#!/bin/sh\nprintf "%%s\\n" "iscsiadm $*" >>${calls}\nexec %s "$@"\n' "$(command -v iscsiadm)" >${wrapper}
      chmod 755 ${wrapper}`)
    const look = (folders: string): string => `IFS= read -r text
      printf "%s\\n" "$text" | grep -rlsaF -f - -D skip --exclude-dir=mnt --exclude=disk ${folders} \
        /proc/[0-9]*/cmdline /proc/[0-9]*/environ || true`
    const input = `${secret}\n`
    return {
      async expectNowhere() {
        const folders = `${gantry.dataDir} ${lab.host.machine.root} ${lab.state.host.stateDir}`
        const here = await lab.host.machine.run(look(folders), { input })
        const there = await lab.guest.run(
          `${look('/tmp /root /run')}; grep -m 1 -o 'iscsiadm .*--login' ${calls}; rm ${wrapper}`,
          { input },
        )
        expect(here.stdout).toBe('')
        expect(there.stdout).toMatch(/^iscsiadm .*--login\n$/)
        const noted = onHost.takeCalls()
        expect(noted).not.toEqual([])
        expect(noted.filter((call) => call.includes(secret))).toEqual([])
      },
      stop: () => onHost.stop(),
    }
  }

  test('A1-A15: staged by a kernel’s initiator, up on two hosts at once, decommissioned without a trace', async () => {
    const container = 'laptop/vol1/carried'
    const before = await observeDevices(lab)
    const watched = await watchForSecret()
    await runJobs(gantry, [
      ...['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', 'laptop/vol1/other'],
    ])
    await runJobs(gantry, [
      ...['stage', '--image', lab.state.tiny.raw, '--memory', '32M', '--host', 'guest', '--to', container],
    ])
    const digest = await hashFile(join(folder, 'vol1/containers/carried.ctr'))

    const up = ['--start', '--wait', 'serial:VMREADY', '--wait-timeout', '2m']
    await runJobs(gantry, ['deploy', container, '--host', 'guest', '--name-pattern', 'over-kernel', ...up])
    await runJobs(gantry, ['deploy', container, '--host', 'host', '--name-pattern', 'over-library', ...up])
    const deployments = await listDeployments(gantry)
    expect(deployments.map(({ name, initiator }) => ({ name, initiator }))).toEqual([
      { name: 'over-kernel', initiator: lab.state.guest.iqn },
      { name: 'over-library', initiator: lab.state.host.iqn },
    ])
    await expectUp(lab, deployments, { knowsName: false })
    await watched.expectNowhere()
    await watched.stop()

    await runJobs(gantry, ['decommission', 'over-kernel', 'over-library', '--yes'])
    const left = await lastingDifferences(lab, before, { patienceMs: 5000 })
    expect(left.filter((line) => !line.endsWith('gantry/luns is new: folder'))).toEqual([])
    expect(await hashFile(join(folder, 'vol1/containers/carried.ctr'))).toBe(digest)
    expect(await ask(gantry, inventoryCalls['inventory.listLuns'].output, ['lun', 'list', 'laptop'])).toEqual(
      [],
    )
  })
})
