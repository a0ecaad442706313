import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatDuration } from '#shared/units/duration.ts'
import { GantryCommand } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import { bringUpLab, takeDownLab } from './lab.ts'

/**
 * `npm run lab:demo`: the whole main job on a real array and a real host that run on this computer. One template is
 * staged, three VMs are deployed from it and are up at once, all are decommissioned; LUN count and checksum of the
 * container are the same before and after.
 */
const timings: { what: string; ms: number }[] = []

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now()
  const value = await work()
  timings.push({ what, ms: performance.now() - started })
  return value
}

const say = (text: string): void => void process.stdout.write(`${text}\n`)

async function show(gantry: GantryCommand, what: string, args: readonly string[]): Promise<string> {
  say(`\n$ gantry ${args.map((arg) => (/[\s{}]/.test(arg) ? `'${arg}'` : arg)).join(' ')}`)
  const { stdout } = await timed(what, () => gantry.ok(args))
  process.stdout.write(stdout)
  return stdout
}

function sameOrThrow(what: string, before: string, after: string): void {
  if (before !== after) throw new Error(`${what} is not as before: ${before} -> ${after}`)
  say(`  ${what}: ${before} before, ${after} after`)
}

const dir = mkdtempSync(join(tmpdir(), 'gantry-demo-'))
const gantry = new GantryCommand()
try {
  say('Bringing up the lab: an array (OpenSSH, tgt, XFS) and a host (OpenSSH, libvirt, QEMU) ...')
  const lab = await timed('lab up', () => bringUpLab({ dir }))
  await timed('array and host added', () => gantry.addLab(lab))
  await show(gantry, 'array shown', ['array', 'list'])

  const container = 'array/vol1/web'
  await show(gantry, 'template staged', [
    'stage',
    '--domain',
    lab.state.template.domain,
    '--host',
    'host',
    '--to',
    container,
  ])
  await show(gantry, 'container shown', ['containers', 'show', container])
  const hash = async (): Promise<string> => {
    const file = `${lab.state.array.volumes.vol1}/containers/web.ctr`
    return (await lab.array.machine.run(`sha256sum ${file}`)).stdout.slice(0, 64)
  }
  const lunCount = async (): Promise<string> =>
    String((await gantry.json<unknown[]>(['lun', 'list', 'array'])).length)
  const before = { hash: await hash(), luns: await lunCount(), devices: await observeDevices(lab) }

  await show(gantry, 'three VMs deployed and up', [
    ...['deploy', container, '--host', 'host', '--count', '3', '--name-pattern', 'web-{n}', '--start'],
    ...['--wait', 'serial:VMREADY'],
  ])
  await show(gantry, 'VMs listed', ['host', 'vms', 'host', '--refresh'])
  await show(gantry, 'LUNs listed', ['lun', 'list', 'array'])
  await show(gantry, 'all decommissioned', ['decommission', 'web-1', 'web-2', 'web-3', '--yes'])

  say('\nThe devices, before the deployment and after the decommissioning:')
  sameOrThrow('LUNs on the array', before.luns, await lunCount())
  sameOrThrow('checksum of the container', before.hash, await hash())
  const left = await lastingDifferences(lab, before.devices)
  if (left.length > 0) throw new Error(`Something was left behind:\n${left.join('\n')}`)
  say('  nothing else was left behind')
  say('\nTimings on this computer:')
  for (const { what, ms } of timings) say(`  ${what.padEnd(28)} ${formatDuration(ms).padStart(12)}`)
} finally {
  gantry.dispose()
  await takeDownLab(dir)
  rmSync(dir, { recursive: true, force: true })
}
