import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inventoryCalls } from '#shared/contract/inventory.ts'
import { describeLab, theLab } from './describe-lab.ts'
import { GantryCommand, guestOptions, sshOptions } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import { exitCodes } from '#shared/errors/user-text.ts'
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

  /** Not in these texts, the console's files, the log of the serving process, nor in arguments and environments anywhere. */
  async function expectSecretNowhere(text: string): Promise<void> {
    expect(text).not.toContain(secret)
    const folders = `${gantry.dataDir} ${lab.host.machine.root} ${lab.state.host.stateDir}`
    const look = 'IFS= read -r text; printf "%s\\n" "$text" | grep -rlsaF -f - -D skip'
    const processes = '/proc/[0-9]*/cmdline /proc/[0-9]*/environ'
    const input = `${secret}\n`
    const here = await lab.host.machine.run(`${look} ${folders} ${processes} || true`, { input })
    expect(here.stdout).toBe('')
    const there = await lab.guest.run(`${look} /tmp /root /run ${processes} || true`, { input })
    expect(there.stdout).toBe('')
  }

  /** Every call of the programs that end at once, with its arguments. */
  async function watchInitiators(): Promise<{ takeCalls(): Promise<string[]>; stop(): Promise<void> }> {
    const onHost = await watchPrograms(lab.host.machine, ['/usr/bin/iscsi-inq'])
    const [wrapper, calls] = ['/usr/local/sbin/iscsiadm', '/run/iscsiadm.calls']
    await lab.guest.run(`set -eu
      printf '#!/bin/sh\nprintf "%%s\\n" "iscsiadm $*" >>${calls}\nexec %s "$@"\n' "$(command -v iscsiadm)" >${wrapper}
      chmod 755 ${wrapper}`)
    return {
      takeCalls: async () => [
        ...onHost.takeCalls(),
        ...(await lab.guest.run(`cat ${calls}; : >${calls}`)).stdout.trimEnd().split('\n'),
      ],
      async stop() {
        await onHost.stop()
        await lab.guest.run(`rm -f ${wrapper} ${calls}`)
      },
    }
  }

  test('A1-A15: staged by a kernel’s initiator, up on two hosts at once, decommissioned without a trace', async () => {
    const container = 'laptop/vol1/carried'
    const before = await observeDevices(lab)
    const watched = await watchInitiators()
    const refused = await gantry.run(
      ['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', 'laptop/vol1/refused'],
      { env: { LAPTOP_SECRET: '' } },
    )
    expect(refused.code, refused.stderr).toBe(exitCodes['auth-failed'])
    expect(refused.stderr).toMatch(/no CHAP secret of field,engineer[^]*--chap-secret-env/)
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
    const plan = await gantry.ok(['deploy', container, '--host', 'host', '--name-pattern', 'x', '--plan'])
    expect(plan.stdout).toMatch(/chap_user=field,engineer\n.*read -r chap_secret #.*not shown/)
    await expectSecretNowhere(plan.stdout)

    await runJobs(gantry, ['decommission', 'over-kernel', 'over-library', '--yes'])
    const calls = await watched.takeCalls()
    await watched.stop()
    for (const program of ['iscsi-inq', 'iscsiadm'])
      expect(calls.filter((call) => call.startsWith(`${program} `))).not.toEqual([])
    expect(calls.filter((call) => call.includes(secret))).toEqual([])
    await expectSecretNowhere('')
    const left = await lastingDifferences(lab, before, { patienceMs: 5000 })
    expect(left.filter((line) => !line.endsWith('gantry/luns is new: folder'))).toEqual([])
    expect(await hashFile(join(folder, 'vol1/containers/carried.ctr'))).toBe(digest)
    expect(await ask(gantry, inventoryCalls['inventory.listLuns'].output, ['lun', 'list', 'laptop'])).toEqual(
      [],
    )
  })
})
