import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { ErrorCode } from '#shared/errors/app-error.ts'
import { exitCodeNeedsOperator, exitCodes } from '#shared/errors/user-text.ts'
import { describeLab, theLab } from './describe-lab.ts'
import { exec } from './exec.ts'
import { expectRefusal } from './expect-refusal.ts'
import { runWithFault } from './fault-at.ts'
import { GantryCommand } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { DeviceInventory } from './inventory-of-devices.ts'
import { makeKeptFolders } from './kept-folders.ts'
import type { Lab } from './lab.ts'
import { hashFile, runJobs, showContainer, stepIds } from './main-job-support.ts'

/** A staged container comes back as a folder of this computer, and can be staged again from there. */
describeLab('export', () => {
  let lab: Lab
  let gantry: GantryCommand
  let clean: DeviceInventory
  let dir: string

  beforeAll(async () => {
    lab = theLab()
    await makeKeptFolders(lab)
    dir = mkdtempSync(join(tmpdir(), 'gantry-export-'))
    gantry = new GantryCommand()
    await gantry.addLab(lab)
    await exec('qemu-img', ['convert', '-f', 'raw', '-O', 'vhdx', lab.state.tiny.raw, join(dir, 'tiny.vhdx')])
    await stage('base', '--domain', lab.state.tiny.domain)
    clean = await observeDevices(lab, { hash: true })
  })
  afterEach(async () => {
    expect(await lastingDifferences(lab, clean, { hash: true })).toEqual([])
  })
  afterAll(async () => {
    await remove('base')
    gantry.dispose()
    rmSync(dir, { recursive: true })
  })

  const stage = (name: string, ...source: string[]) =>
    gantry.ok(['stage', ...source, '--host', 'host', '--to', `array/vol1/${name}`])
  const remove = (name: string) => gantry.ok(['containers', 'delete', `array/vol1/${name}`, '--yes'])
  const exporting = (name: string, to: string): string[] => [
    'containers',
    'export',
    `array/vol1/${name}`,
    '--to',
    to,
  ]
  const refuse = async (args: readonly string[], code: ErrorCode, object: string) =>
    expectRefusal(await gantry.run(args), code, { object })
  const checksums = async (name: string) => {
    const { header } = await showContainer(gantry, `array/vol1/${name}`)
    return (header?.files ?? []).filter(({ path }) => path !== 'vm.xml')
  }

  test.each([
    ['ext4', () => ['--domain', lab.state.tiny.domain]],
    ['xfs', () => ['--image', join(dir, 'tiny.vhdx'), '--memory', '32M']],
    ['ntfs', () => ['--folder', lab.state.tiny.folder]],
  ] as const)(
    'from %s: the files are those of the container; staged again it has the same',
    async (type, source) => {
      await stage('there', ...source(), '--file-system', type)
      const folder = join(dir, 'and back')
      const [job] = await runJobs(gantry, exporting('there', folder))
      expect(job?.kind).toBe('export')
      const files = await checksums('there')
      expect(files.length).toBeGreaterThan(0)
      expect(readdirSync(folder).toSorted()).toEqual(
        [...files.map(({ path }) => path), 'gantry-export.json', 'vm.xml'].toSorted(),
      )
      for (const { path, sha256, sizeBytes } of files) {
        expect(await hashFile(join(folder, path))).toBe(sha256)
        expect(statSync(join(folder, path)).size).toBe(sizeBytes)
      }
      expect(readdirSync(dir).filter((name) => name.includes('partial'))).toEqual([])
      await stage('again', '--folder', folder)
      expect(await checksums('again')).toEqual(files)
      await remove('again')
      await remove('there')
      rmSync(folder, { recursive: true })
    },
  )

  test('--plan shows every step and changes nothing, here neither', async () => {
    const folder = join(dir, 'planned')
    const { stdout } = await gantry.ok([...exporting('base', folder), '--plan'])
    expect(stdout).toMatch(/^Export container base to .*planned$/m)
    expect(stdout).toMatch(
      /Snapshot container base[^]*read[^]*Receive disk0\.raw[^]*sftp> get [^]*Destroy LUN[^]*Delete snapshot/,
    )
    expect(existsSync(folder)).toBe(false)
  })

  test('a name that is taken, a folder that is not there, a host that is not', async () => {
    const taken = join(dir, 'taken')
    writeFileSync(taken, 'mine')
    await refuse(exporting('base', taken), 'busy', taken)
    await refuse(exporting('base', join(dir, 'no', 'such')), 'not-found', join(dir, 'no'))
    await refuse([...exporting('base', join(dir, 'x')), '--host', 'nosuch'], 'not-found', 'host nosuch')
    expect(readFileSync(taken, 'utf8')).toBe('mine')
    rmSync(taken)
  })

  test('a folder that appears under the name meanwhile is left as it is', async () => {
    const folder = join(dir, 'raced')
    const { code, stderr } = await runWithFault(gantry, exporting('base', folder), {
      point: 'export/publish/after-intent',
      fault() {
        mkdirSync(folder)
        writeFileSync(join(folder, 'mine'), 'mine')
      },
    })
    expect({ code, stderr }).toMatchObject({
      code: exitCodes.busy,
      stderr: expect.stringContaining('is there already'),
    })
    expect(readdirSync(folder)).toEqual(['mine'])
    rmSync(folder, { recursive: true })
    expect(readdirSync(dir).filter((name) => name.startsWith('raced'))).toEqual([])
  })

  test('a full disk of this computer: before the job, and in its middle', async () => {
    const disk = join(dir, 'disk')
    mkdirSync(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk])
    try {
      const { code, stderr } = await runWithFault(gantry, exporting('base', join(disk, 'web')), {
        point: 'export/receive-0/after-intent',
        fault: () =>
          void execFileSync('sh', ['-c', `head -c 30M /dev/zero > ${disk}/filler 2>/dev/null || true`]),
      })
      expect({ code, stderr }).toMatchObject({
        code: exitCodes['device-rejected'],
        stderr: expect.stringContaining('There is no space left on this computer'),
      })
      expect(readdirSync(disk)).toEqual(['filler'])
      await refuse(exporting('base', join(disk, 'web')), 'bad-request', join(disk, 'web'))
    } finally {
      execFileSync('umount', [disk])
    }
  })

  test('a file that is not what was staged: its checksum differs, and nothing is exported', async () => {
    const inVolume = (script: string) =>
      lab.array.machine.run(`set -eu; cd '${lab.state.array.volumes.vol1}/containers'; ${script}`)
    await inVolume(`cp --reflink=always base.ctr spoilt.ctr
at=$(grep -obUa VMREADY spoilt.ctr | tail -n 1 | cut -d : -f 1)
printf x | dd of=spoilt.ctr bs=1 seek="$at" conv=notrunc status=none`)
    try {
      const before = await observeDevices(lab)
      const { code, stderr } = await gantry.run(exporting('spoilt', join(dir, 'spoilt')))
      expect({ code, stderr }).toMatchObject({
        code: exitCodes['device-rejected'],
        stderr: expect.stringMatching(
          /disk0\.raw is not what was staged: its checksum differs[^]*container says: [0-9a-f]{64}/,
        ),
      })
      expect(readdirSync(dir).filter((name) => name.startsWith('spoilt'))).toEqual([])
      expect(await lastingDifferences(lab, before)).toEqual([])
    } finally {
      await inVolume('rm spoilt.ctr')
    }
  })

  test('Ctrl-C while it receives: undone, exit 130, nothing left', async () => {
    let seen = ''
    let isSent = false
    const { code, stdout, stderr } = await gantry.run(exporting('base', join(dir, 'cancelled')), {
      onStderr(text, kill) {
        seen += text
        if (isSent || !/Receive .*: applying/.test(seen)) return
        isSent = true
        kill('SIGINT')
      },
    })
    expect({ code, stderr }).toMatchObject({ code: exitCodes.cancelled })
    expect(stdout).toMatch(/ undone /)
    expect(readdirSync(dir).filter((name) => name.startsWith('cancelled'))).toEqual([])
  })

  test('the host is gone in the middle: it needs the operator, who can undo it once the host is back', async () => {
    const { code } = await runWithFault(gantry, exporting('base', join(dir, 'cut')), {
      point: 'export/receive-0/after-intent',
      fault: () => lab.host.machine.stopSshd(),
    })
    expect(code).toBe(exitCodeNeedsOperator)
    await lab.host.machine.startSshd()
    const [job] = await gantry.json<{ id: string }[]>(['jobs', 'list', '--open'])
    await gantry.ok(['jobs', 'undo', job?.id ?? ''])
    expect(readdirSync(dir).filter((name) => name.startsWith('cut'))).toEqual([])
  })

  test('its steps', async () => {
    const [job] = await runJobs(gantry, exporting('base', join(dir, 'steps')))
    expect(job === undefined ? [] : stepIds(job)).toEqual([
      ...['make-folder', 'snapshot', 'create-lun', 'attach', 'receive-0', 'describe'],
      ...['unmount', 'detach', 'unmap-lun', 'destroy-lun', 'delete-snapshot', 'publish'],
    ])
    expect(JSON.parse(readFileSync(join(dir, 'steps', 'gantry-export.json'), 'utf8'))).toMatchObject({
      container: 'array/vol1/base',
      files: [{ name: 'disk0.raw' }],
    })
    rmSync(join(dir, 'steps'), { recursive: true })
  })
})
