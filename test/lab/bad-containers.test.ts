import { afterAll, beforeAll, expect, test } from 'vitest'
import { crc32c } from '#main/protocols/crc/crc32c.ts'
import { headerCopyOffsets, headerPartitionOffsetBytes } from '#shared/domain/unit-layout.ts'
import { describeLab, theLab } from './describe-lab.ts'
import { expectRefusal } from './expect-refusal.ts'
import { GantryCommand } from './gantry-command.ts'
import { lastingDifferences, observeDevices } from './inventory-of-devices.ts'
import type { DeviceInventory } from './inventory-of-devices.ts'
import type { Lab } from './lab.ts'
import { makeKeptFolders } from './kept-folders.ts'

/** Containers that are not what they should be, made on the array itself; none of them is deployed by mistake. */
describeLab('bad containers', () => {
  let lab: Lab
  let gantry: GantryCommand
  let empty: DeviceInventory

  beforeAll(async () => {
    lab = theLab()
    await makeKeptFolders(lab)
    empty = await observeDevices(lab)
    gantry = new GantryCommand()
    await gantry.addLab(lab)
    await gantry.ok([...stage('base')])
  })
  afterAll(async () => {
    await gantry.ok(['containers', 'delete', 'array/vol1/base', '--yes'])
    gantry.dispose()
    expect(await lastingDifferences(lab, empty)).toEqual([])
  })

  const stage = (name: string): string[] => [
    ...['stage', '--domain', lab.state.tiny.domain, '--host', 'host', '--to', `array/vol1/${name}`],
  ]
  const deploy = (name: string) =>
    gantry.run(['deploy', `array/vol1/${name}`, '--host', 'host', '--name-pattern', `from-${name}`])
  const show = (name: string) =>
    gantry.json<{ state: string; problems: string[] }>(['containers', 'show', `array/vol1/${name}`])
  const run = (script: string) =>
    lab.array.machine.run(`set -eu; cd '${lab.state.array.volumes.vol1}/containers'; ${script}`)

  /** A copy of the good container, spoilt by a script in which it is "$c"; removed afterwards. */
  async function withSpoilt(name: string, spoil: string, work: () => Promise<void>): Promise<void> {
    await run(`c=${name}.ctr; cp --reflink=always base.ctr "$c"; ${spoil}`)
    try {
      const before = await observeDevices(lab)
      await work()
      expect(await lastingDifferences(lab, before)).toEqual([])
    } finally {
      await run(`rm -f ${name}.ctr`)
    }
  }
  const copyAt = (copy: 0 | 1): number => headerPartitionOffsetBytes + headerCopyOffsets[copy]
  const put = (offset: number, octal: string): string =>
    `printf '${octal}' | dd of="$c" bs=1 seek=${offset} conv=notrunc status=none`
  const flip = (copy: 0 | 1): string => put(copyAt(copy) + 20, '\\130')

  test.each([0, 1] as const)(
    'A8: copy %i of the header is damaged: it works by the other and says so',
    (copy) =>
      withSpoilt('half', flip(copy), async () => {
        const problem =
          copy === 0 ? /first copy of the header is damaged/ : /second copy of the header is damaged/
        expect(await show('half')).toMatchObject({ state: 'ok', problems: [expect.stringMatching(problem)] })
        const { code, stderr } = await deploy('half')
        expect({ code, stderr }).toEqual({
          code: 0,
          stderr: expect.stringMatching(/^Warning: Container half: /m),
        })
        expect(stderr).toMatch(problem)
        await gantry.ok(['decommission', 'from-half', '--yes'])
      }),
  )

  test('both copies are damaged: refused', () =>
    withSpoilt('both', `${flip(0)}; ${flip(1)}`, async () => {
      expect((await show('both')).state).toBe('damaged')
      expectRefusal(await deploy('both'), 'device-rejected', {
        object: 'container both',
        message: /damaged/,
        advice: /Restore the container/,
      })
    }))

  test.each([
    ['in its data', '6M'],
    ['in its header partition', '1536K'],
  ])('the file ends %s: refused before anything is made', (_where, size) =>
    withSpoilt('short', `truncate -s ${size} "$c"`, async () => {
      expect((await show('short')).state).toBe('damaged')
      const result = await deploy('short')
      expectRefusal(result, 'device-rejected', { object: 'container short', message: /damaged/ })
      expect(result.stderr).toMatch(/It is cut off: its partitions need \d+ bytes/)
    }),
  )

  test('it was written by a newer Gantry: shown, and not deployed', async () => {
    const { stdout } = await run(
      `dd if=base.ctr bs=512 skip=${copyAt(0) / 512} count=1 status=none | base64 -w0`,
    )
    const fixed = Buffer.from(stdout, 'base64')
    fixed.writeUInt32LE(2, 8)
    fixed.writeUInt32LE(crc32c(fixed.subarray(0, 72)), 72)
    const octal = [...fixed].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')
    await withSpoilt('newer', `${put(copyAt(0), octal)}; ${put(copyAt(1), octal)}`, async () => {
      expect((await show('newer')).state).toBe('newer')
      expectRefusal(await deploy('newer'), 'not-supported', {
        object: 'container newer',
        message: /newer Gantry/,
        advice: /Update this console/,
      })
    })
  })

  test('nothing was staged in it', async () => {
    await gantry.ok(['containers', 'create', 'array/vol1/blank', '--size', '16M'])
    const blank = await observeDevices(lab)
    expectRefusal(await deploy('blank'), 'bad-request', {
      object: 'container blank',
      message: /Nothing is staged/,
    })
    expect(await lastingDifferences(lab, blank)).toEqual([])
    await gantry.ok(['containers', 'delete', 'array/vol1/blank', '--yes'])
  })

  test('A13: it was staged for hosts with another operating system', async () => {
    await gantry.ok([...stage('win'), '--os', 'windows'])
    const staged = await observeDevices(lab)
    expectRefusal(await deploy('win'), 'bad-request', {
      object: 'container win, host host',
      message: /of type windows, and this host is linux/,
      advice: /--os linux/,
    })
    expect(await lastingDifferences(lab, staged)).toEqual([])
    await gantry.ok(['containers', 'delete', 'array/vol1/win', '--yes'])
  })
})
