import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { OutputOf } from '#shared/contract/index.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import { formatDuration } from '#shared/units/duration.ts'
import { formatTable } from '../table.ts'
import type { LoneTools, Outcome } from '../tools.ts'
import { createInnerGantry, type InnerGantry } from './inner-gantry.ts'
import { readySign, templateDisk } from './template-disk.ts'

const container = 'lab/vol1/web'
const count = 5
const names = Array.from({ length: count }, (_, index) => `web-${index + 1}`)

type Deployment = OutputOf<'inventory.listDeployments'>[number]

interface Measured {
  readonly luns: number
  /** SHA-256 of the whole container. */
  readonly sha256: string
}

/**
 * The main job on this computer alone: an array that is a folder, this computer as the host, and a template that the
 * console makes itself. Nothing of it is left, whatever happens.
 */
export async function runDemo(tools: LoneTools): Promise<Outcome> {
  const { io, globals } = tools
  const say = (text: string): void => {
    if (globals.json !== true) io.out.write(`${text}\n`)
  }
  let isInterrupted = false
  const stopListening = io.onInterrupt(() => {
    if (!isInterrupted) io.err.write('Interrupted: what the demo has made is being removed.\n')
    isInterrupted = true
  })
  const folder = await mkdtemp(join(tmpdir(), 'gantry-demo-'))
  const gantry = createInnerGantry(tools, join(folder, 'console'), say)
  const goOn = (): void => {
    if (isInterrupted) throw new AppError('cancelled', 'The demo was interrupted')
  }
  try {
    const value = await mainJob(gantry, folder, say, goOn)
    await putAway(gantry, folder)
    return { value: { ...value, timings: gantry.timings }, text: summary(gantry) }
  } catch (error) {
    await putAway(gantry, folder)
    throw error
  } finally {
    stopListening()
  }
}

async function mainJob(
  gantry: InnerGantry,
  folder: string,
  say: (text: string) => void,
  goOn: () => void,
): Promise<object> {
  const volume = join(folder, 'vol1')
  const image = join(folder, 'web.raw')
  await mkdir(volume)
  const disk = templateDisk()
  await writeFile(image, disk)
  say(
    `A demo on this computer alone, in ${folder}. The template is a disk of ${formatBytes(disk.length)} that`,
  )
  say('boots and says its name on the serial port.')

  await gantry.show('array added', [
    'array',
    'add',
    'lab',
    '--driver',
    'embedded',
    '--volume',
    `vol1=${volume}`,
  ])
  // such a small guest starts faster without a hypervisor of the processor, and everywhere in the same way
  await gantry.show('host added', [
    'host',
    'add',
    'here',
    '--driver',
    'embedded',
    '--accelerator',
    'emulation',
  ])
  const { checks } = await gantry.ask<OutputOf<'inventory.probeHost'>>(['host', 'probe', 'here'])
  const missing = checks.find(({ ok }) => !ok)
  const boots = missing === undefined
  goOn()
  await gantry.show('template staged', [
    ...['stage', '--layout', 'disks', '--image', image, '--memory', '32M', '--to', container],
  ])
  await gantry.show('container shown', ['containers', 'show', container])
  const before = await measure(gantry, volume)
  goOn()

  await gantry.show(boots ? `${count} VMs deployed, verified and up` : `${count} VMs deployed and verified`, [
    ...[
      'deploy',
      container,
      '--host',
      'here',
      '--count',
      String(count),
      '--name-pattern',
      'web-{n}',
      '--verify',
    ],
    ...(boots ? ['--start', '--wait', `serial:${readySign} {name} `] : []),
  ])
  goOn()
  const deployments = await gantry.ask<Deployment[]>(['deployments', 'list'])
  const vms = await Promise.all(deployments.map((deployment) => describeVm(deployment, boots)))
  requireEqual(
    'Deployments',
    names.join(' '),
    vms
      .map(({ name }) => name)
      .toSorted()
      .join(' '),
  )
  if (boots) for (const { name, says } of vms) say(`  ${name} says: ${says ?? ''}`)
  else
    say(
      `\nNothing was booted: ${missing.name}: ${missing.detail}. Each LUN was attached, read back and compared with the\n` +
        `checksum in its header, and its VM registered.\n${missing.advice ?? ''}`,
    )
  await gantry.show('VMs listed', ['host', 'vms', 'here', '--refresh'])

  const portal = await portalOf(gantry)
  await gantry.show('portal scanned', ['unit', 'scan', '--portal', portal])
  const found = await gantry.ask<OutputOf<'units.scan'>>(['unit', 'scan', '--portal', portal])
  requireEqual('VM units found by the scan', String(count), String(found.vms.length))
  goOn()

  await gantry.show('all decommissioned', ['decommission', ...names, '--yes'])
  const after = await measure(gantry, volume)
  say('\nBefore the deployment and after the decommissioning:')
  requireEqual('LUNs on the array', String(before.luns), String(after.luns))
  say(`  LUNs on the array          ${before.luns}, ${after.luns}`)
  requireEqual('checksum of the container', before.sha256, after.sha256)
  say(`  checksum of the container  ${before.sha256}, the same`)
  return {
    booted: boots,
    ...(boots ? {} : { notBooted: `${missing.name}: ${missing.detail}` }),
    vms,
    unitsFound: found.vms.length,
    lunsBefore: before.luns,
    lunsAfter: after.luns,
    containerSha256: after.sha256,
  }
}

async function describeVm({ name, vm, consoleLog }: Deployment, boots: boolean) {
  if (!boots) return { name, uuid: vm.uuid }
  const says = (await readFile(consoleLog, 'latin1')).trim()
  if (!says.startsWith(`${readySign} ${vm.name} ${vm.uuid} `))
    throw new AppError('device-rejected', `VM ${name} says something else than its name and UUID`, {
      facts: { console: says },
    })
  return { name, uuid: vm.uuid, says }
}

async function measure(gantry: InnerGantry, volume: string): Promise<Measured> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(join(volume, 'containers', 'web.ctr')), hash)
  const luns = await gantry.ask<unknown[]>(['lun', 'list', 'lab'])
  return { luns: luns.length, sha256: hash.digest('hex') }
}

async function portalOf(gantry: InnerGantry): Promise<string> {
  const [array] = await gantry.ask<OutputOf<'inventory.listArrays'>>(['array', 'list'])
  if (array === undefined) throw new AppError('bug', 'The array of the demo is gone')
  return array.config.settings.portal
}

function requireEqual(what: string, before: string, after: string): void {
  if (before !== after)
    throw new AppError('device-rejected', `${what}: ${after} instead of ${before}`, {
      advice: 'This is a fault in Gantry. Please report it.',
    })
}

/** VMs, LUNs, the process that serves them, the folder. What cannot be removed is said, and the folder then stays. */
async function putAway(gantry: InnerGantry, folder: string): Promise<void> {
  try {
    const arrays = await gantry.ask<unknown[]>(['array', 'list'])
    if (arrays.length > 0) {
      await gantry.ask(['jobs', 'recover'])
      const left = await gantry.ask<Deployment[]>(['deployments', 'list'])
      if (left.length > 0) await gantry.ask(['decommission', ...left.map(({ name }) => name), '--yes'])
      await gantry.ask(['array', 'stop', 'lab', '--force'])
    }
    await rm(folder, { recursive: true, force: true })
  } catch (error) {
    throw new AppError('device-rejected', 'Not everything of the demo could be removed', {
      object: folder,
      advice: `Look at it with "gantry --data-dir ${join(folder, 'console')} jobs list", then remove the folder.`,
      cause: error,
      facts: { cause: error instanceof Error ? error.message : String(error) },
    })
  }
}

const summary = ({ timings }: InnerGantry): string =>
  [
    '\nNothing is left: the VMs, the LUNs, the process that served them and the folder are gone.\n',
    formatTable(
      [...timings, { what: 'in all', ms: timings.reduce((sum, { ms }) => sum + ms, 0) }],
      [
        { title: 'TIMINGS ON THIS COMPUTER', value: ({ what }) => what },
        { title: '', align: 'right', value: ({ ms }) => formatDuration(ms) },
      ],
    ),
  ].join('\n')
