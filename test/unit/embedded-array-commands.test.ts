import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { KiB, MiB } from '#shared/units/bytes.ts'
import { RealConsole } from '#test/support/real-console.ts'
import { makeTempDir } from './temp-dir.ts'

const host = 'iqn.2026-11.gantry.test:host-a'

interface Lab {
  readonly volume: string
  readonly dataDir: string
  /** A command in this process: its console ends with it. Resolves with what it prints. */
  readonly gantry: (line: string) => Promise<string>
  /** Resolves with what it says to the person, when it fails. */
  readonly refused: (line: string) => Promise<string>
}

function lab(): Lab {
  const folder = makeTempDir()
  const volume = join(folder, 'volume')
  const dataDir = join(folder, 'data')
  mkdirSync(volume)
  const console = new RealConsole(dataDir)
  const run = (line: string) => console.run(line.split(' '))
  const made: Lab = {
    volume,
    dataDir,
    async gantry(line) {
      const { exitCode, out, err } = await run(line)
      expect(exitCode, err).toBe(0)
      return `${out}${err}`
    },
    async refused(line) {
      const { exitCode, err } = await run(line)
      expect(exitCode).not.toBe(0)
      return err
    },
  }
  onTestFinished(async () => {
    await run('array stop lab --force')
  })
  return made
}

test('an array of this computer: added, used, stopped and removed; its LUNs outlive every console', async () => {
  const { gantry, refused, volume, dataDir } = lab()
  // a process of its own, which is gone when it has answered
  const added = execFileSync(
    process.execPath,
    [
      resolve('bin/gantry.mjs'),
      '--data-dir',
      dataDir,
      'array',
      'add',
      'lab',
      '--driver',
      'embedded',
      '--volume',
      'vol1=./volume',
    ],
    { cwd: join(volume, '..'), encoding: 'utf8' },
  )
  expect(added).toContain('This array is this computer')
  expect(added).toContain(`volume vol1: ${volume}`)
  const process1 = /process (\d+) serves/.exec(added)?.[1]
  expect(await gantry('array probe lab')).toContain(`process ${process1 ?? ''} serves`)
  expect(await gantry('array list')).toContain('this computer, no storage hardware')

  await gantry('containers create lab/vol1/web --size 8M')
  const plan = await gantry('lun create lab/web-lun --volume vol1 --container web --plan')
  expect(plan).toContain('serve vol1/containers/web.ctr on 127.0.0.1:')
  expect(readdirSync(join(volume, 'containers'))).toEqual(['web.ctr', 'web.ctr.gantry'])
  await gantry('lun create lab/web-lun --volume vol1 --container web')
  await gantry(`lun map lab/web-lun --initiator ${host}`)
  expect(await gantry('lun list lab')).toContain(host)

  await gantry('array stop lab')
  const listed = await gantry('lun list lab')
  expect(listed).toContain('web-lun')
  expect(listed).toContain(host)
  expect(await refused('array remove lab')).toContain('It still has')
  await gantry('lun destroy lab/web-lun --yes')
  await gantry('array remove lab')
  expect(readdirSync(join(dataDir, 'arrays', 'lab')).filter((name) => name.endsWith('.sock'))).toEqual([])
  expect(readdirSync(join(volume, 'containers'))).toEqual(['web.ctr', 'web.ctr.gantry'])
})

test('what an array of this computer cannot have is refused before anything happens', async () => {
  const { refused, volume } = lab()
  const add = `array add lab --driver embedded --volume vol1=${volume}`
  expect(await refused(`${add} --portal 0.0.0.0:3260`)).toContain('needs the word for it and a login')
  expect(await refused(`${add} --portal 192.0.2.1:3260 --open-to-network`)).toContain('a login')
  expect(await refused(`${add} --ssh root@array1`)).toContain('--ssh means nothing')
  expect(await refused(`${add} --chap-secret-env NO_SUCH_VARIABLE --chap-user lab`)).toContain(
    'no such environment',
  )
  expect(await refused('array add san1 --ssh root@array1')).toContain('--portal')
  expect(await refused('array add san1 --ssh root@array1 --portal a:1 --open-to-network')).toContain(
    'means nothing',
  )
  expect(readdirSync(volume)).toEqual([])
})

test('B19: where blocks cannot be shared the plan of a deployment says so, with the cost, and copies in full', async () => {
  const { gantry, volume } = lab()
  const image = join(makeTempDir(), 'web.raw')
  writeFileSync(image, Buffer.concat([randomBytes(256 * KiB), Buffer.alloc(MiB - 256 * KiB)]))
  await gantry(`array add lab --driver embedded --volume vol1=${volume}`)
  await gantry('host add here --driver embedded')
  await gantry(`stage --layout disks --image ${image} --memory 64M --cpus 1 --to lab/vol1/web`)
  const plan = await gantry('deploy web --host here --count 2 --plan')
  expect(plan).toMatch(
    /Volume vol1 cannot share blocks between files: each deployment is a full copy of .*iB, .*iB in all/,
  )
  expect(plan).toContain('Copy container web in full')
  expect(plan).toContain('copy vol1/containers/web.ctr -> vol1/clones/')
  expect(plan).not.toContain('Snapshot container')
})
