import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import type { UnitReport, UnitScan } from '#shared/contract/units.ts'
import { MiB } from '#shared/units/bytes.ts'
import { planDisksLayout } from '#main/protocols/unit/disks-layout.ts'
import { createIscsiInitiator } from '#main/transports/iscsi/initiator.ts'
import { formatPortal } from '#main/transports/iscsi/portal.ts'
import { openFileDevice } from '#main/transports/block/file-device.ts'
import { releaseLock, takeLock } from '#main/units/unit-lock.ts'
import { writeUnit } from '#main/units/write-unit.ts'
import { RealConsole } from '#test/support/real-console.ts'
import { sampleHeader } from '#test/support/units.ts'
import { exec } from '../exec.ts'
import { startTgtd, type Tgtd } from '../iscsi/tgtd.ts'

const lab = inject('labs')
const signal = new AbortController().signal
const idOf = (tid: number): string => `600140500000000000000000000000${String(tid).padStart(2, '0')}`
const targetOf = (name: string): string => `iqn.2026-11.lab.gantry:${name}`

describe.skipIf('reason' in lab)('units over iSCSI, by the console alone', () => {
  let folder: string
  let tgtd: Tgtd
  let gantry: RealConsole
  let portal: string
  const files = new Map<string, string>()

  /** A target of its own for each LUN, as arrays with one target a LUN have it. */
  async function addTarget(tid: number, name: string, sizeBytes: number): Promise<string> {
    const file = join(tgtd.folder, name)
    writeFileSync(file, '')
    truncateSync(file, sizeBytes)
    files.set(name, file)
    const of = ['--tid', String(tid)]
    const params = `scsi_id=${idOf(tid)},scsi_sn=SN-${tid},vendor_id=LABARR,product_id=${name.toUpperCase()}`
    await tgtd.tgtadm('--op', 'new', '--mode', 'target', ...of, '-T', targetOf(name))
    await tgtd.tgtadm('--op', 'new', '--mode', 'logicalunit', ...of, '--lun', '1', '-b', file)
    await tgtd.tgtadm('--op', 'update', '--mode', 'logicalunit', ...of, '--lun', '1', '--params', params)
    await tgtd.tgtadm('--op', 'bind', '--mode', 'target', ...of, '-I', 'ALL')
    return file
  }
  const at = (name: string): string[] => ['--portal', portal, '--target', targetOf(name), '--lun', '1']
  const show = (name: string): Promise<UnitReport> => gantry.json(['unit', 'show', ...at(name)])

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'gantry-units-'))
    gantry = new RealConsole(join(folder, 'data'))
    tgtd = await startTgtd({ sizeBytes: MiB })
    portal = formatPortal(tgtd.portal)
    const names = ['base', 'second', 'damaged', 'boot', 'data', 'locked', 'chap', 'empty']
    for (const [index, name] of names.entries()) await addTarget(index + 2, name, 64 * MiB)
  })
  afterAll(async () => {
    await tgtd.close()
    rmSync(folder, { recursive: true, force: true })
  })

  /** By another way than the console's sessions: into the file under the LUN. */
  async function putUnit(name: string): Promise<void> {
    const disk = join(folder, `${name}.disk`)
    writeFileSync(disk, randomBytes(MiB))
    const disks = [{ index: 0, sizeBytes: MiB }]
    const plan = planDisksLayout({ contents: 'all', memoryBytes: 8 * MiB, disks }).base
    const { fileSystem: _none, ...header } = sampleHeader()
    const device = await openFileDevice(files.get(name) ?? '', { readOnly: false })
    const extents = [{ fileOffset: 0, offset: 0, lengthBytes: MiB }]
    const content = { path: disk, sizeBytes: MiB, extents }
    const contents = new Map([[0, content]])
    await writeUnit(device, { plan, header, isZeroed: true, disks: contents }, { signal })
    await device.close()
  }

  test('an image of the laptop is written to a LUN, verified, read back, and is the same for whoever reads the file under it', async () => {
    const image = join(folder, 'web.qcow2')
    const source = join(folder, 'web.raw')
    const bytes = Buffer.concat([randomBytes(5 * MiB), Buffer.alloc(7 * MiB)])
    writeFileSync(source, bytes)
    await exec('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', source, image])
    const write = ['unit', 'write', '--image', image, '--name', 'web', '--memory', '8M', '--cpus', '1']
    const { err } = await gantry.ok([...write, ...at('empty')])
    expect(err).toContain('is converted by qemu-img first')

    const report = await show('empty')
    expect(report).toMatchObject({
      kind: 'vm',
      problems: [],
      lun: {
        vendor: 'LABARR',
        product: 'EMPTY',
        serial: 'SN-9',
        scsiIds: [`naa.${idOf(9)}`, expect.anything()],
      },
      header: { disks: [{ sha256: createHash('sha256').update(bytes).digest('hex') }] },
    })
    const fromFile = await gantry.json<UnitReport>(['unit', 'show', '--file', files.get('empty') ?? ''])
    expect(fromFile.header).toEqual(report.header)
    await gantry.ok(['unit', 'verify', ...at('empty')])
    const target = join(folder, 'out.raw')
    await gantry.ok(['unit', 'export', ...at('empty'), '--to', target])
    expect(readFileSync(target).equals(bytes)).toBe(true)

    const again = await gantry.run([...write, ...at('empty')])
    expect([again.exitCode, again.err]).toEqual([2, expect.stringContaining('It is not empty')])
  })

  test('B5, B12, D2: a scan tells VMs, damaged units, boot disks and others apart, by SCSI identity', async () => {
    const images = ['root', 'data'].map((name) => {
      const path = join(folder, `${name}.raw`)
      writeFileSync(path, randomBytes(2 * MiB))
      return path
    })
    const vm = [
      '--name',
      'pair',
      '--memory',
      '8M',
      '--cpus',
      '1',
      ...images.flatMap((path) => ['--image', path]),
    ]
    await gantry.ok(['unit', 'write', ...vm, ...at('base'), '--secondary', `1=${targetOf('second')}/1`])
    await gantry.ok(['unit', 'verify', ...at('second')])
    const target = join(folder, 'data.out')
    await gantry.ok(['unit', 'export', ...at('second'), '--disk', '1', '--to', target])
    expect(readFileSync(target).equals(readFileSync(images[1] ?? ''))).toBe(true)
    await putUnit('damaged')
    for (const [name, offset, text] of [
      ['damaged', MiB, 'GARBAGE!'],
      ['damaged', MiB + 512 * 1024, 'GARBAGE!'],
      ['data', 0, 'XFSB'],
    ] as const) {
      const device = await openFileDevice(files.get(name) ?? '', { readOnly: false })
      await device.write(offset, Buffer.alloc(512).fill(text, 0, text.length), signal)
      await device.close()
    }
    const script = 'label: gpt\nsize=10M,type=U\ntype=L\n'
    await exec('sfdisk', ['-q', '--no-reread', '--no-tell-kernel', files.get('boot') ?? ''], {
      input: script,
    })

    const found = await gantry.json<UnitScan>(['unit', 'scan', '--portal', portal])
    const byId = new Map(found.luns.map((lun) => [lun.id, lun]))
    const kindOf = (name: string): unknown => byId.get(`${targetOf(name)}/1`)?.kind
    expect(['base', 'second', 'damaged', 'boot', 'data', 'locked'].map(kindOf)).toEqual([
      'vm',
      'vm',
      'damaged',
      'boot',
      'other',
      'empty',
    ])
    expect(byId.get(`${targetOf('boot')}/1`)?.content).toContain('an EFI system partition')
    expect(found.vms.find(({ base }) => base.includes(`${targetOf('base')}/1`))).toMatchObject({
      name: 'pair',
      secondaries: [{ index: 1, scsiId: `naa.${idOf(3)}`, luns: [`${targetOf('second')}/1`] }],
    })
    // tgt has a controller as LUN 0 of each target
    expect(byId.get(`${targetOf('base')}/0`)).toMatchObject({ kind: 'no-disk' })
    expect((await gantry.ok(['unit', 'scan', '--portal', portal])).out).toMatch(/\d+ LUNs are no disks/)
  })

  test('a secondary unit whose LUN is gone is missing by name', async () => {
    await tgtd.tgtadm('--op', 'delete', '--mode', 'target', '--tid', '3')
    const found = await gantry.json<UnitScan>(['unit', 'scan', '--portal', portal])
    const vm = found.vms.find(({ base }) => base.includes(`${targetOf('base')}/1`))
    expect(vm?.secondaries).toEqual([
      { index: 1, scsiId: `naa.${idOf(3)}`, luns: [], problem: 'No LUN with this identity was seen' },
    ])
  })

  test('a LUN that has grown: its backup table is moved to the new end', async () => {
    truncateSync(files.get('base') ?? '', 100 * MiB)
    // tgt looks at the size of its file when the LUN is made
    await tgtd.tgtadm('--op', 'delete', '--mode', 'logicalunit', '--tid', '2', '--lun', '1')
    const backing = ['--lun', '1', '-b', files.get('base') ?? '']
    await tgtd.tgtadm('--op', 'new', '--mode', 'logicalunit', '--tid', '2', ...backing)
    expect((await show('base')).problems).toEqual([expect.stringMatching(/has grown/)])
    const plan = await gantry.ok(['unit', 'repair', ...at('base'), '--plan'])
    expect(plan.out).toMatch(/write \d+ bytes at sector \d+: backup GPT/)
    expect((await gantry.run(['unit', 'repair', ...at('base')])).exitCode).toBe(2)
    await gantry.ok(['unit', 'repair', ...at('base'), '--yes'])
    expect((await show('base')).problems).toEqual([])
    await exec('sfdisk', ['--verify', files.get('base') ?? ''])
  })

  test('B13: of two consoles that take a lock at the same moment one has it', async () => {
    await putUnit('locked')
    const initiators = ['kvm1', 'kvm2'].map((name) => createIscsiInitiator(`iqn.2026-11.lab:${name}`))
    const devices = await Promise.all(
      initiators.map((one) => one.open({ portal, target: targetOf('locked'), lun: 1 }, signal)),
    )
    const bootId = '00112233-4455-4677-8899-aabbccddeeff'
    // tgt says that it has COMPARE AND WRITE and does not know it: this is the weaker way
    const options = { signal, now: () => 1000, settleMs: 200 }
    for (let round = 0; round < 5; round++) {
      const taken = await Promise.allSettled(
        devices.map((device, index) => takeLock(device, { owner: `kvm${index}`, bootId }, options)),
      )
      expect(taken.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
      expect(taken.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'busy' } })
      if (devices[0] !== undefined) await releaseLock(devices[0], 'anyone', options)
    }
    await Promise.all(devices.map((device) => device.close()))
    await Promise.all(initiators.map((one) => one.close()))
    const taken = await gantry.ok(['unit', 'lock', ...at('locked')])
    expect(taken.err).toContain('no COMPARE AND WRITE')
    expect((await show('locked')).lock).toMatchObject({ state: 'held' })
    await gantry.ok(['unit', 'unlock', ...at('locked')])
  })

  test('CHAP: the secret comes from a variable, and is in no output, argument or file of the console', async () => {
    const secret = 'canary-secret-1234'
    const account = ['--user', 'lab', '--password', secret]
    await tgtd.tgtadm('--op', 'new', '--mode', 'account', ...account)
    await tgtd.tgtadm('--op', 'bind', '--mode', 'account', '--tid', '8', '--user', 'lab')
    expect((await gantry.run(['unit', 'show', ...at('chap')])).exitCode).toBe(6)
    const chap = [...at('chap'), '--chap-user', 'lab', '--chap-secret-env', 'CHAP_SECRET']
    const wrong = await gantry.run(['unit', 'show', ...chap], { env: { CHAP_SECRET: 'wrong-secret-1234' } })
    expect([wrong.exitCode, wrong.err]).toEqual([6, expect.not.stringContaining('wrong-secret')])
    const right = await gantry.ok(['unit', 'show', ...chap], { env: { CHAP_SECRET: secret } })
    expect(right.out).toContain('empty')
    await tgtd.tgtadm('--op', 'new', '--mode', 'account', '--user', 'array', '--password', 'proof-of-tgt-123')
    const outgoing = ['--op', 'bind', '--mode', 'account', '--tid', '8', '--user', 'array', '--outgoing']
    await tgtd.tgtadm(...outgoing)
    const mutual = [...chap, '--target-chap-user', 'array', '--target-chap-secret-env', 'PROOF']
    const proven = { CHAP_SECRET: secret, PROOF: 'proof-of-tgt-123' }
    expect((await gantry.ok(['unit', 'show', ...mutual], { env: proven })).out).toContain('empty')
    const impostor = await gantry.run(['unit', 'show', ...mutual], {
      env: { ...proven, PROOF: 'proof-of-tgt-456' },
    })
    expect([impostor.exitCode, impostor.err]).toEqual([6, expect.stringContaining('did not prove')])
    // tgt admits none as it is set up here
    const digests = await gantry.run(['unit', 'show', ...chap, '--digests', 'data'], { env: proven })
    expect([digests.exitCode, digests.err]).toEqual([
      7,
      expect.stringContaining('does not use the checksums'),
    ])
    writeFileSync(join(folder, 'small.raw'), Buffer.alloc(MiB, 7))
    const image = ['--image', join(folder, 'small.raw'), '--name', 'c', '--memory', '8M', '--cpus', '1']
    const { out, err } = await gantry.ok(['unit', 'write', ...image, ...chap], {
      env: { CHAP_SECRET: secret },
    })
    const kept = readFileSync(join(gantry.dataDir, 'gantry.db'), 'latin1') + out + err
    expect(kept).not.toContain(secret)
  })

  test('what cannot be reached says so in its own words', async () => {
    const codes = await Promise.all([
      gantry.run(['unit', 'show', '--portal', portal, '--target', targetOf('none'), '--lun', '1']),
      gantry.run(['unit', 'show', '--portal', portal, '--target', targetOf('base'), '--lun', '7']),
      gantry.run(['unit', 'scan', '--portal', '127.0.0.1:1']),
    ])
    expect(codes.map(({ exitCode }) => exitCode)).toEqual([3, 3, 5])
  })
})
