import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { ChapLogin } from '#shared/domain/storage.ts'
import { exitCodes } from '#shared/errors/user-text.ts'
import type { HostDriver } from '#main/drivers/hosts/contract.ts'
import { createEmbeddedHost } from '#main/drivers/hosts/embedded/driver.ts'
import { openFileDevice } from '#main/transports/block/file-device.ts'
import { readLock, takeLock } from '#main/units/unit-lock.ts'
import { chapSecret, ThisComputerBench } from '#test/recovery/this-computer-bench.ts'
import { chapSecretsOf } from '#test/support/chap-secrets.ts'
import { describeLab } from '../describe-lab.ts'
import { exec } from '../exec.ts'

/** What goes wrong on this computer as array and host: the job says so, and nothing is left. */
describeLab('faults on this computer', () => {
  const bench = new ThisComputerBench()

  beforeAll(() => bench.open())
  afterAll(() => bench.close())
  afterEach(async () => {
    expect(await bench.added([])).toEqual([])
  })

  const hostThatKnows = (secret: string | undefined): HostDriver =>
    createEmbeddedHost(
      { name: 'host', driver: 'embedded', settings: { accelerator: 'emulation' } },
      {
        dataDir: bench.gantry.dataDir,
        initiatorName: 'iqn.2026-11.gantry:not-used',
        openLun: () => Promise.reject(new Error('not used')),
        secrets: chapSecretsOf(secret),
      },
    )

  const servingProcess = async (): Promise<number> => {
    const text = await bench.ok(['array', 'probe', 'array'])
    return Number(/process (\d+) serves/.exec(text)?.[1])
  }

  test('QEMU dies while its guest is waited for: the deployment is undone, with the reason', async () => {
    let isKilled = false
    const { code, stderr } = await bench.run(bench.deploy('web', 'NEVER'), {
      onStderr(text) {
        if (isKilled || !/Wait until .*: applying/.test(text)) return
        isKilled = true
        for (const pid of bench.qemus()) process.kill(pid, 'SIGKILL')
      },
    })
    expect(code, stderr).toBe(exitCodes['device-rejected'])
    expect(stderr).toMatch(/The VM is stopped and its guest has not printed "NEVER"/)
  })

  test('a VM outlives the console that started it, and the next one decommissions it', async () => {
    await bench.ok(bench.deploy('web'))
    const [pid] = bench.qemus()
    expect(pid).toBeDefined()
    const vms = JSON.parse(await bench.ok(['host', 'vms', 'host', '--refresh', '--json'])) as {
      state: string
    }[]
    expect(vms).toEqual([expect.objectContaining({ name: 'web', state: 'running' })])
    await bench.ok(bench.decommission('web'))
    expect(bench.qemus()).toEqual([])
  })

  test('VMs whose QEMU has ended, as after a restart of the computer, are restored on the disks that they have', async () => {
    await bench.ok(bench.deploy('web'))
    for (const pid of bench.qemus()) process.kill(pid, 'SIGKILL')
    await bench.ok(['array', 'stop', 'array', '--force'])
    const { stdout } = await bench.run(['deployments', 'restore', '--host', 'host'])
    expect(stdout).toMatch(/done {2}Bring web up again/)
    const [uuid = ''] = readdirSync(join(bench.gantry.dataDir, 'vms'))
    const log = join(bench.gantry.dataDir, 'vms', uuid, 'console.log')
    await expect
      .poll(() => readFileSync(log, 'utf8'), { timeout: 30_000 })
      .toMatch(/^VMREADY web .* boots=02/)
    expect(await bench.ok(['deployments', 'restore', '--host', 'host'])).toMatch(/nothing to do/)
    await bench.ok(bench.decommission('web'))
  })

  test('B13: a unit that another host has locked is not run; a clone of it is; a person breaks the lock', async () => {
    await bench.ok(bench.stage('own'))
    const path = join(bench.volume, 'containers', 'own.ctr')
    const { signal } = new AbortController()
    const container = await openFileDevice(path, { readOnly: false })
    const lockAs = (owner: string): Promise<unknown> => {
      const bootId = '00112233-4455-4677-8899-aabbccddeeff'
      const options = { signal, now: Date.now, settleMs: 0, breaks: 'anyone' } as const
      return takeLock(container, { owner, bootId }, options)
    }
    const from = (name: string): string[] => [
      ...['deploy', 'array/vol1/own', '--host', 'host', '--name-pattern', name],
    ]
    const direct = [...from('web'), '--start', '--direct', '--yes']

    await lockAs('kvm9')
    const refused = await bench.run(direct)
    expect(refused.code, refused.stderr).toBe(exitCodes.busy)
    expect(refused.stderr).toMatch(/locked by kvm9, for .*since.*--break-lock/s)

    // another VM: begins with a lock of its own, or none
    await bench.ok([...from('clone'), '--start'])
    await bench.ok(from('idle'))
    const inClones = (await bench.added()).filter((line) => line.includes('/clones/'))
    expect(inClones.flatMap((line) => /locked by (VM \w+)/.exec(line)?.slice(1) ?? [])).toEqual(['VM clone'])
    await bench.ok(['decommission', 'clone', 'idle', '--yes'])

    await bench.ok([...direct, '--break-lock'])
    for (const pid of bench.qemus()) process.kill(pid, 'SIGKILL')
    await expect.poll(() => bench.qemus()).toEqual([])
    expect(await bench.ok(['unit', 'show', '--file', path])).toMatch(/VM web of .*is not there any more/)

    await lockAs('kvm9')
    const notRestored = await bench.run(['deployments', 'restore', 'web'])
    expect(notRestored.code, notRestored.stderr).toBe(exitCodes.busy)
    expect(bench.qemus()).toEqual([])
    const asked = await bench.run(['deployments', 'restore', 'web', '--break-lock'])
    expect(asked.stderr).toMatch(/Locked by kvm9, since .*shall the lock be broken/)
    await bench.ok(['deployments', 'restore', 'web', '--break-lock', '--yes'])
    // the secret is gone, and with it the way to the lock: the removal goes on
    const left = await bench.run(bench.decommission('web'), { env: { BENCH_CHAP: '' } })
    expect(left.code, left.stderr).toBe(0)
    expect(left.stderr).toMatch(/Warning: The lock of VM web .* was left.*gantry unit unlock/)
    expect(await readLock(container, signal)).toMatchObject({ state: 'held' })
    await container.close()
    await bench.ok(['containers', 'delete', 'array/vol1/own', '--yes'])
  })

  test('the process that serves the LUNs dies in the middle of writing: undone, or written whole', async () => {
    const image = join(bench.folder, 'large.raw')
    writeFileSync(image, randomBytes(192 * 1024 * 1024))
    const pid = await servingProcess()
    let isKilled = false
    const args = [
      'stage',
      '--layout',
      'disks',
      '--image',
      image,
      '--memory',
      '32M',
      '--to',
      'array/vol1/large',
    ]
    const { code, stderr } = await bench.run(args, {
      onStderr(text) {
        if (isKilled || !/Write the disks .*(applying|MiB of)/.test(text)) return
        isKilled = true
        process.kill(pid, 'SIGKILL')
      },
    })
    expect(isKilled).toBe(true)
    if (code === 0) await bench.ok(['containers', 'delete', 'array/vol1/large', '--yes'])
    else expect(stderr).toMatch(/(->|:) undone/)
    expect(await servingProcess()).not.toBe(pid)
  })

  test('the folder is full: the staging is undone and says so; the array goes on', async () => {
    const small = join(bench.folder, 'small')
    mkdirSync(small)
    await exec('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'gantry-test', small])
    try {
      await bench.ok([
        'array',
        'add',
        'small',
        '--driver',
        'embedded',
        '--volume',
        `vol1=${small}`,
        '--digests',
        'both',
      ])
      const image = join(bench.folder, 'filling.raw')
      // its size is below the free space, and with the partition table and the rest it is above
      writeFileSync(image, randomBytes(23 * 1024 * 1024 + 512 * 1024))
      const args = [
        'stage',
        '--layout',
        'disks',
        '--image',
        image,
        '--memory',
        '32M',
        '--to',
        'small/vol1/web',
      ]
      const { code, stderr } = await bench.run(args)
      expect(code, stderr).toBe(exitCodes['device-rejected'])
      expect(stderr).toMatch(/full|room|space/i)
      expect(JSON.parse(await bench.ok(['lun', 'list', 'small', '--json']))).toEqual([])
      expect(
        JSON.parse(await bench.ok(['containers', 'list', '--refresh', '--array', 'small', '--json'])),
      ).toEqual([])
      await bench.ok(['array', 'stop', 'small', '--force'])
      await bench.ok(['array', 'remove', 'small'])
    } finally {
      await exec('umount', [small])
    }
  })

  test('the port of the array is taken by another program: said as such, and nothing is made', async () => {
    const [array] = JSON.parse(await bench.ok(['array', 'list', '--json'])) as {
      config: { settings: { portal: string } }
    }[]
    const portal = array?.config.settings.portal ?? ''
    await bench.ok(['array', 'stop', 'array'])
    const server = createServer().listen(Number(portal.split(':').at(-1)), '127.0.0.1')
    await once(server, 'listening')
    try {
      const { code, stderr } = await bench.run(bench.deploy('web'))
      expect(code, stderr).toBe(exitCodes.busy)
      expect(stderr).toContain(portal)
    } finally {
      server.close()
      await once(server, 'close')
    }
    await bench.ok(bench.deploy('web'))
    await bench.ok(bench.decommission('web'))
  })

  test('the CHAP secret is nowhere to be read while a VM runs; a changed one is not taken while the VM runs, and holds once it is off', async () => {
    const holds = (path: string, secret: string): boolean => {
      const { size } = statSync(path)
      return size < 1024 * 1024 && readFileSync(path, 'utf8').includes(secret)
    }
    const serving = await servingProcess()
    const expectNowhere = (secret: string): void => {
      const data = readdirSync(bench.gantry.dataDir, { recursive: true, withFileTypes: true })
      const files = data.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
      const processes = [...bench.qemus(), serving].flatMap((pid) => [
        `/proc/${pid}/cmdline`,
        `/proc/${pid}/environ`,
        ...readdirSync(`/proc/${pid}/fd`)
          .map((fd) => `/proc/${pid}/fd/${fd}`)
          .filter((path) => statSync(path).isFile()),
      ])
      expect([...files, ...processes].filter((path) => holds(path, secret))).toEqual([])
    }
    const { stderr } = await bench.run(bench.deploy('web'))
    expect(stderr).not.toContain(chapSecret)
    expect(bench.qemus()).toHaveLength(1)
    expectNowhere(chapSecret)

    const changed = 'another canary secret'
    const probe = () => bench.run(['array', 'probe', 'array'], { env: { BENCH_CHAP: changed } })
    expect((await probe()).stdout).toContain('Initiators are logged in with another CHAP user or secret')
    for (const pid of bench.qemus()) process.kill(pid, 'SIGKILL')
    await expect.poll(() => bench.qemus()).toEqual([])
    await probe()
    const { stdout } = await bench.run(['array', 'show', 'array'])
    const portal = /^Portal +(\S+)$/m.exec(stdout)?.[1] ?? ''
    const scan = ['unit', 'scan', '--portal', portal, '--chap-user', 'bench,user', '--chap-secret-env', 'S']
    expect((await bench.run(scan, { env: { S: chapSecret } })).code).toBe(exitCodes['auth-failed'])
    expect((await bench.run(scan, { env: { S: changed } })).code).toBe(0)

    const [uuid = ''] = readdirSync(join(bench.gantry.dataDir, 'vms'))
    const login = { user: 'bench,user', password: { from: 'prompt' as const } }
    const start = (secret: string | undefined, as?: ChapLogin): Promise<void> =>
      hostThatKnows(secret)
        .startVm(uuid, as)
        .run({ signal: AbortSignal.timeout(60_000) })
    for (const [secret, as, text] of [
      [chapSecret, login, /refused the CHAP login/],
      [undefined, login, /no CHAP secret/],
      [undefined, undefined, /without CHAP/],
    ] as const)
      await expect(start(secret, as)).rejects.toThrow(
        expect.objectContaining({ code: 'auth-failed', message: expect.stringMatching(text) as string }),
      )
    await start(changed, login)
    expectNowhere(changed)
    // QEMU logs in anew with what it has in memory
    process.kill(serving, 'SIGKILL')
    const luns = async (): Promise<string> =>
      (await bench.run(['lun', 'list', 'array', '--json'], { env: { BENCH_CHAP: changed } })).stdout
    await expect.poll(luns, { timeout: 30_000 }).toMatch(/"sessions": ?\[\s*"iqn/)
    const missing = await bench.run(bench.deploy('db'), { env: { BENCH_CHAP: '' } })
    expect(missing.code, missing.stderr).toBe(exitCodes['auth-failed'])
    await bench.ok(bench.decommission('web'))
  })

  test('the file of a registered VM is damaged: that VM is named, and no other is lost', async () => {
    await bench.ok(bench.deploy('web'))
    const [vm] = JSON.parse(await bench.ok(['host', 'vms', 'host', '--refresh', '--json'])) as {
      uuid: string
    }[]
    const path = join(bench.gantry.dataDir, 'vms', vm?.uuid ?? '', 'vm.json')
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, text.slice(0, 100))
    const { code, stderr } = await bench.run(['host', 'vms', 'host', '--refresh'])
    expect(code).toBe(exitCodes['device-rejected'])
    expect(stderr).toContain(path)
    writeFileSync(path, text)
    await bench.ok(bench.decommission('web'))
  })
})
