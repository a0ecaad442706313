import { z } from 'zod'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { plannedJobSchema } from '#shared/contract/operations.ts'
import { vmSchema } from '#shared/domain/compute.ts'
import { jobDetailsSchema, jobSchema } from '#shared/domain/job.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { MiB } from '#shared/units/bytes.ts'
import { inquire } from '#test/contract/iscsi-initiator.ts'
import { describeLab, theLab } from './describe-lab.ts'
import { waitFor } from './exec.ts'
import { GantryCommand, arrayOptions, sshOptions } from './gantry-command.ts'
import { diffDevices, lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { DeviceInventory } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import {
  ask,
  consoleOf,
  expectUp,
  hashFile,
  hashOnArray,
  listDeployments,
  makeLastingFolders,
  listLuns,
  runJobs,
  showContainer,
  stepIds,
} from './main-job-support.ts'
import { watchPrograms } from './watched-programs.ts'
import type { WatchedPrograms } from './watched-programs.ts'

const container = 'array/vol1/story'
const file = 'containers/story.ctr'
const names = ['story-1', 'story-2', 'story-3']
const devices = { only: ['array', 'host'] } as const
const withContent = { ...devices, hash: true }
const formatters = ['sfdisk', 'wipefs', 'mkfs.ext4', 'mkfs.xfs', 'mkntfs'].map((name) => `/usr/sbin/${name}`)
const copiers = ['cp', 'dd', 'tar', 'qemu-img'].map((name) => `/usr/bin/${name}`)
const stageArgs = (lab: Lab, to = container) => [
  ...['stage', '--domain', lab.state.template.domain, '--host', 'host', '--to', to],
]
const deployArgs = [
  ...['deploy', container, '--host', 'host', '--count', '3', '--start', '--wait', 'serial:VMREADY'],
]

/** One story in order: each test goes on from where the one before has come to. */
describeLab('the whole job by the gantry command', () => {
  let lab: Lab
  let gantry: GantryCommand
  let onHost: WatchedPrograms
  let onArray: WatchedPrograms
  let atFirst: DeviceInventory
  let hostAtFirst: DeviceInventory
  let staged: DeviceInventory
  let header: UnitHeader
  let digest: string

  beforeAll(async () => {
    lab = theLab()
    await makeLastingFolders(lab)
    gantry = new GantryCommand()
    await gantry.addLab(lab)
    onHost = await watchPrograms(lab.host.machine, [...formatters, ...copiers])
    onArray = await watchPrograms(lab.array.machine, copiers)
    atFirst = await observeDevices(lab, withContent)
    hostAtFirst = await observeDevices(lab, { only: ['host'] })
  })
  afterAll(async () => {
    await gantry.run(['decommission', ...names, '--yes'])
    await gantry.run(['containers', 'delete', container, '--yes'])
    await onHost.stop()
    await onArray.stop()
    gantry.dispose()
  })

  const listJobs = () => ask(gantry, z.array(jobSchema), ['jobs', 'list'])

  /** The plan of a command; proves that making it changed nothing. */
  async function planOf(args: readonly string[]) {
    const [before, jobs] = await Promise.all([observeDevices(lab, devices), listJobs()])
    const plan = await ask(gantry, z.array(plannedJobSchema), [...args, '--plan'])
    expect(await lastingDifferences(lab, before, devices)).toEqual([])
    expect(await listJobs()).toEqual(jobs)
    return plan
  }

  test('U2, A18: the plan of staging shows every step, its command, its target, its undo, and changes nothing', async () => {
    const [plan, ...others] = await planOf(stageArgs(lab))
    expect(others).toEqual([])
    expect(plan?.bytesToMove).toBe(128 * MiB)
    for (const { id, target, commands } of plan?.steps ?? []) {
      expect(target).toMatch(/^(array array|host host|console)$/)
      if (target !== 'console') expect(commands, id).not.toEqual([])
    }
    const undone = plan?.steps.filter(({ undoCommands }) => undoCommands.length > 0) ?? []
    expect(undone.map(({ id }) => id)).toEqual(
      expect.arrayContaining(['create-container', 'create-lun', 'attach', 'mount']),
    )
    expect(onHost.takeCalls().filter((call) => !call.startsWith('qemu-img info'))).toEqual([])
    expect(onArray.takeCalls()).toEqual([])
  })

  test('A2-A7: staging makes container and LUN, formats once, copies, verifies, and leaves no LUN and nothing on the host', async () => {
    const lunsBefore = await listLuns(gantry)
    const [job, ...others] = await runJobs(gantry, stageArgs(lab))
    expect(others).toEqual([])
    expect(job === undefined ? [] : stepIds(job)).toEqual([
      ...['create-container', 'create-lun', 'attach', 'prepare', 'mount', 'copy', 'send-configuration'],
      ...['sync', 'verify', 'write-header', 'unmount', 'detach', 'unmap-lun', 'destroy-lun', 'record'],
    ])
    const calls = onHost.takeCalls().join('\n')
    for (const program of ['sfdisk', 'mkfs.ext4', 'cp'])
      expect(calls).toMatch(new RegExp(`^${program} `, 'm'))

    expect(await listLuns(gantry)).toEqual(lunsBefore)
    expect(await lastingDifferences(lab, hostAtFirst, { only: ['host'] })).toEqual([])
    staged = await observeDevices(lab, withContent)
    const made = diffDevices(atFirst, staged).map((line) => line.split(' ')[1])
    const { vol1 } = lab.state.array.volumes
    expect(made.filter((path) => path !== `${vol1}/containers`)).toEqual([
      `${vol1}/${file}`,
      `${vol1}/${file}.gantry`,
    ])
    digest = await hashOnArray(lab, file)
  })

  test('A8: a console that has never seen it, and knows no host, reads all of it from the container alone', async () => {
    const stranger = new GantryCommand()
    try {
      await stranger.ok(['array', 'add', 'array', ...sshOptions(lab, 'array'), ...arrayOptions(lab)])
      const details = await showContainer(stranger, container)
      expect(details).toMatchObject({ state: 'ok', problems: [], generation: 1 })
      if (details.header === undefined) throw new Error('no header')
      header = details.header
      const { template } = lab.state
      const source = await hashFile(`${template.folder}/disk0.raw`)
      expect(header).toMatchObject({
        vm: { name: template.domain, memoryBytes: 128 * MiB, cpus: 1 },
        osType: 'linux',
        fileSystem: { type: 'ext4' },
        disks: [{ index: 0, format: 'raw', path: 'disk0.raw', sizeBytes: 128 * MiB, sha256: source }],
        stagedFrom: `VM ${template.domain} on host host`,
        stagedBy: { product: 'Gantry' },
      })
      expect(header.files.map(({ path }) => path)).toEqual(['disk0.raw', 'vm.xml'])
      expect(header.vm.configuration.text).toContain('<domain')
      expect(Date.now() - Date.parse(header.stagedAt)).toBeLessThan(600_000)
      const { stdout } = await stranger.ok(['containers', 'show', container])
      expect(stdout).toContain(source)
    } finally {
      stranger.dispose()
    }
  })

  test('A1: the container holds the data and 10 %, in whole units of the array; more on request', async () => {
    const { facts } = await showContainer(gantry, container)
    expect(facts.sizeBytes).toBeGreaterThan(1.1 * 128 * MiB)
    expect(facts.sizeBytes % MiB).toBe(0)
    const roomy = [...stageArgs(lab, 'array/vol1/roomy'), '--headroom', '100']
    const [plan] = await planOf(roomy)
    const size = Number(/truncate -s (\d+)/.exec(plan?.steps[0]?.commands.join('\n') ?? '')?.[1])
    expect(size).toBeGreaterThan(2 * 128 * MiB)
  })

  test('A5: partitions, file system, GUID and alignment lie in the container itself', async () => {
    const path = `${lab.state.array.volumes.vol1}/${file}`
    const { stdout } = await lab.array.machine.run(`sfdisk -J ${path}`)
    const { partitiontable: table } = z
      .object({
        partitiontable: z.object({
          label: z.string(),
          id: z.string(),
          sectorsize: z.number(),
          partitions: z.array(z.object({ start: z.number(), size: z.number() })),
        }),
      })
      .parse(JSON.parse(stdout))
    expect(table).toMatchObject({ label: 'gpt', sectorsize: 512 })
    expect(table.id.toLowerCase()).toBe(header.unitId)
    expect(table.partitions.map(({ start }) => (start * 512) % MiB)).toEqual([0, 0])
    const offset = (table.partitions[1]?.start ?? 0) * 512
    const { stdout: found } = await lab.array.machine.run(`blkid -p -O ${offset} -o export ${path}`)
    expect(found).toContain(`UUID=${header.fileSystem?.uuid}\n`)
    expect(found).toContain('TYPE=ext4')
  })

  test('A10: the plan of a deployment neither partitions nor formats nor copies data, and changes nothing', async () => {
    const plans = await planOf(deployArgs)
    expect(plans).toHaveLength(3)
    for (const plan of plans) {
      expect(plan.bytesToMove).toBe(0)
      expect(plan.steps.map(({ id }) => id)).toEqual([
        ...'snapshot clone create-lun attach define start wait record'.split(' '),
      ])
      const commands = plan.steps.flatMap((step) => step.commands).join('\n')
      expect(commands).not.toMatch(/sfdisk|parted|sgdisk|mkfs|mkntfs|mke2fs|wipefs|qemu-img|rsync|\btar\b/)
      expect(commands).not.toMatch(/\bdd .*of=(?!\/dev\/null)/)
      expect(commands.match(/\bcp .*/g)).toEqual(commands.match(/cp --reflink=always .*/g))
    }
  })

  test('A9-A11, A14: three VMs of one container are up at once, each on a LUN of its own, with its own name and UUID', async () => {
    onHost.takeCalls()
    onArray.takeCalls()
    const jobs = await runJobs(gantry, deployArgs)
    expect(jobs).toHaveLength(3)
    const deployments = await listDeployments(gantry)
    expect(deployments.map(({ name }) => name)).toEqual(names)
    await expectUp(lab, deployments)
    for (const key of ['serial', 'target'] as const)
      expect(new Set(deployments.map(({ lun }) => lun[key])).size).toBe(3)
    const uuids = deployments.map(({ vm }) => vm.uuid)
    expect(new Set([...uuids, header.vm.uuid]).size).toBe(4)

    const vms = await ask(gantry, z.array(vmSchema), ['host', 'vms', 'host', '--refresh'])
    const running = vms.filter(({ uuid }) => uuids.includes(uuid))
    expect(running.map(({ state }) => state)).toEqual(['running', 'running', 'running'])
    const luns = await listLuns(gantry)
    for (const { lun, backing, initiator } of deployments)
      expect(luns.find(({ serial }) => serial === lun.serial)).toMatchObject({
        backing,
        mappedTo: [initiator],
        sessions: [initiator],
      })
  })

  test('A10: the run has called nothing that partitions, formats or copies: clones share their blocks', () => {
    const changing = (call: string): boolean => !/^dd .*of=\/dev\/null|^dd (?!.*of=)/.test(call)
    expect(onHost.takeCalls().filter(changing)).toEqual([])
    const copies = onArray.takeCalls().filter(changing)
    expect(copies).toHaveLength(6)
    for (const call of copies) expect(call).toMatch(/^cp --reflink=always -- /)
  })

  test('A4: the array lets the host log in to each LUN, and no other initiator', async () => {
    for (const { lun } of await listDeployments(gantry)) {
      expect(await inquire(lun, lab.state.host.iqn)).toMatchObject({ serial: lun.serial })
      expect(await inquire(lun, 'iqn.2026-11.gantry.lab:stranger')).toBeUndefined()
    }
  })

  test('A12: the VMs have written to their disks, and the container is the same to the byte', async () => {
    const source = `${lab.state.template.folder}/disk0.raw`
    const vms = await ask(gantry, z.array(vmSchema), ['host', 'vms', 'host'])
    for (const { vm, backing } of await listDeployments(gantry)) {
      const disk = vms.find(({ uuid }) => uuid === vm.uuid)?.disks[0]?.source ?? ''
      expect(disk).toMatch(/\/mnt\/disk0\.raw$/)
      await waitFor(
        `${vm.name} to write`,
        async () => {
          const { exitCode } = await lab.host.machine.run(`cmp -s '${source}' '${disk}'`, {
            expectExit: [0, 1],
          })
          return exitCode === 1
        },
        60_000,
      )
      expect(await hashOnArray(lab, `clones/${backing.name}.img`)).not.toBe(digest)
      expect(await hashOnArray(lab, `snapshots/${backing.name}.snap`)).toBe(digest)
    }
    expect(await hashOnArray(lab, file)).toBe(digest)
  })

  test('A17: the volumes show how many LUNs they have and may have', async () => {
    const { stdout } = await gantry.ok(['array', 'volumes', 'array', '--refresh'])
    expect(stdout).toMatch(/^vol1 .* 3 of 256 /m)
    expect(stdout).toMatch(/^small .* 0 of 256 /m)
  })

  test('U6: the log of a job tells when each step began and ended; its text can be read and kept', async () => {
    const job = (await listJobs()).find(({ title }) => title.startsWith('Deploy story-2 '))
    const id = job?.id ?? ''
    const details = await ask(gantry, jobDetailsSchema, ['jobs', 'show', id])
    const { stdout } = await gantry.ok(['jobs', 'show', id])
    for (const step of details.steps) {
      expect(step.state).toBe('done')
      expect(Date.parse(step.endedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(step.startedAt ?? ''))
      const logged = details.log.filter(({ stepId }) => stepId === step.id).map(({ text }) => text)
      expect(logged).toEqual(['Started', 'Done'])
      for (const command of step.commands) expect(stdout).toContain(command.trim().split('\n').at(-1))
    }
  })

  test('A15: decommissioning removes VMs, LUNs, snapshots and clones; everything else is as after staging, to the byte', async () => {
    const deployments = await listDeployments(gantry)
    const refused = await gantry.run(['decommission', ...names])
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('--yes')
    const plans = await planOf(['decommission', ...names, '--yes'])
    expect(plans).toHaveLength(3)

    await runJobs(gantry, ['decommission', ...names, '--yes'])
    expect(await lastingDifferences(lab, staged, withContent)).toEqual([])
    expect(await hashOnArray(lab, file)).toBe(digest)
    expect(await listDeployments(gantry)).toEqual([])
    for (const deployment of deployments)
      await expect(consoleOf(lab, deployment)).rejects.toThrow('No such file')
  })
})
