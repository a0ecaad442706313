import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { wireErrorSchema } from '#shared/errors/wire-error.ts'
import { exitCodes } from '#shared/errors/user-text.ts'
import { describeLab, theLab } from './describe-lab.ts'
import { GantryCommand, arrayOptions, hostOptions, sshOptions } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import { expectUp, listDeployments, makeLastingFolders, runJobs } from './main-job-support.ts'

const container = 'array/vol1/by-sudo'
const devices = { only: ['array', 'host'] } as const

describeLab('users who are not root, with a real sudo', () => {
  let lab: Lab
  let gantry: GantryCommand

  beforeAll(async () => {
    lab = theLab()
    await makeLastingFolders(lab)
    gantry = new GantryCommand()
  })
  afterAll(async () => {
    await gantry.run(['decommission', 'by-sudo', '--yes'])
    await gantry.run(['containers', 'delete', container, '--yes'])
    gantry.dispose()
  })
  const addArray = (user: string): string[] => [
    ...['array', 'add', 'array', ...sshOptions(lab, 'array', user), '--sudo', ...arrayOptions(lab)],
  ]
  const addHost = (user: string): string[] => [
    ...['host', 'add', 'host', ...sshOptions(lab, 'host', user), '--sudo', ...hostOptions(lab)],
  ]

  test('one who may not use sudo: refused with what to do, and nothing is recorded', async () => {
    const { userWithoutRights } = lab.state.host
    for (const add of [addArray(userWithoutRights), addHost(userWithoutRights)]) {
      const { code, stdout } = await gantry.run([...add, '--json'])
      expect(code).toBe(exitCodes['auth-failed'])
      const { error } = z.object({ error: wireErrorSchema }).parse(JSON.parse(stdout))
      expect(error).toMatchObject({
        code: 'auth-failed',
        object: `${add[0]} ${add[2]}`,
        message: 'sudo does not let this user run commands without a password',
        advice: expect.stringContaining('NOPASSWD'),
      })
    }
    expect(await gantry.json(['array', 'list'])).toEqual([])
    expect(await gantry.json(['host', 'list'])).toEqual([])
  })

  test('one who may: staged, deployed, up and decommissioned, without a trace', async () => {
    const { userWithSudo } = lab.state.host
    await gantry.ok(addArray(userWithSudo))
    await gantry.ok(addHost(userWithSudo))
    const before = await observeDevices(lab, devices)
    await runJobs(gantry, ['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', container])
    await runJobs(gantry, [
      ...['deploy', container, '--host', 'host', '--name-pattern', 'by-sudo'],
      ...['--start', '--wait', 'serial:VMREADY'],
    ])
    await expectUp(lab, await listDeployments(gantry))
    await runJobs(gantry, ['decommission', 'by-sudo', '--yes'])

    const folder = join(gantry.dataDir, 'exported')
    const [exported] = await runJobs(gantry, ['containers', 'export', container, '--to', folder])
    const receiving = exported?.steps.find(({ id }) => id === 'receive-0')
    expect(receiving?.commands.join(), 'SFTP would not run as root').not.toContain('sftp')
    expect(readdirSync(folder)).toContain('disk0.raw')

    const never = ['--start', '--wait', 'serial:NEVER']
    let seen = ''
    let sent = false
    const { code } = await gantry.run(
      ['deploy', container, '--host', 'host', '--name-pattern', 'by-sudo', ...never],
      {
        onStderr: (text, kill) => {
          seen += text
          if (sent || !/Wait .*: applying/.test(seen)) return
          sent = true
          kill('SIGINT')
        },
      },
    )
    expect(code, 'cut off while a program runs there').toBe(130)
    await runJobs(gantry, ['containers', 'delete', container, '--yes'])
    expect(await lastingDifferences(lab, before, devices)).toEqual([])
  })
})
