import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { scriptedTargetName, startScriptedTarget } from '#test/support/scripted-target.ts'
import type { ScriptedTarget, ScriptedTargetOptions } from '#test/support/scripted-target.ts'
import { senses } from '#main/protocols/scsi/sense.ts'
import { makeTempDir } from '#test/unit/temp-dir.ts'
import { createIscsiInitiator } from './initiator.ts'
import type { OpenLun } from './initiator.ts'

const signal = new AbortController().signal
const initiator = createIscsiInitiator('iqn.2026-11.test:console')
let target: ScriptedTarget
let onCommand: ScriptedTargetOptions['onCommand']

beforeEach(async () => {
  onCommand = undefined
  target = await startScriptedTarget({ onCommand: (...all) => onCommand?.(...all) ?? false })
})
afterEach(() => target.close())
afterAll(() => initiator.close())

const way = (): OpenLun => ({
  portal: `127.0.0.1:${target.port}`,
  target: scriptedTargetName,
  lun: 0,
  name: 'LUN web of array lab',
})
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

test('a LUN is a disk whose sessions live in another thread', async () => {
  expect(await initiator.discover(way(), signal)).toMatchObject([{ name: scriptedTargetName }])
  expect(await initiator.listLuns(way(), signal)).toEqual([0])
  const device = await initiator.open(way(), signal)
  expect(device).toMatchObject({
    name: 'LUN web of array lab',
    blockBytes: 512,
    sizeBytes: 1024 * 1024,
    isReadOnly: false,
    facts: { serial: 'scripted-1', inquiry: { vendor: 'GANTRY' } },
  })
  expect(device.unmap).toBeUndefined()
  expect(device.compareAndWrite).toBeUndefined()
  const bytes = randomBytes(400 * 1024)
  await device.write(512, bytes.subarray(0, 293 * 1024), signal)
  await device.flush(signal)
  expect(Buffer.from(await device.read(512, 293 * 1024, signal)).equals(bytes.subarray(0, 293 * 1024))).toBe(
    true,
  )
  await device.close()
  await expect(device.read(0, 512, signal)).rejects.toThrow(
    expect.objectContaining({ code: 'bad-request' }) as Error,
  )
})

test('bulk work is told of as it goes on, and gives what the plain calls give', async () => {
  const folder = makeTempDir()
  const content = randomBytes(700 * 1024)
  content.fill(0, 100 * 1024, 400 * 1024)
  const path = join(folder, 'content.raw')
  writeFileSync(path, content)
  const device = await initiator.open(way(), signal)
  const reports: number[] = []
  const written = await device.writeContent(
    4096,
    { path, sizeBytes: content.length, extents: [{ fileOffset: 0, offset: 0, lengthBytes: content.length }] },
    { signal, isZeroed: false, report: ({ bytes }) => reports.push(bytes) },
  )
  expect(written).toEqual({ sha256: sha256(content), bytesWritten: content.length })
  expect(reports.at(-1)).toBe(content.length)
  expect(target.lun.disk.subarray(4096, 4096 + content.length).equals(content)).toBe(true)
  expect(await device.hash(0, device.sizeBytes, { signal })).toBe(sha256(target.lun.disk))
  const copy = join(folder, 'copy.raw')
  expect(await device.readIntoFile(4096, content.length, copy, { signal })).toBe(sha256(content))
  expect(readFileSync(copy).equals(content)).toBe(true)
  await expect(device.readIntoFile(0, 512, copy, { signal })).rejects.toThrow(
    expect.objectContaining({ code: 'busy' }) as Error,
  )
  await device.close()
})

test('errors keep their code, effect and object over the threads', async () => {
  const device = await initiator.open(way(), signal)
  onCommand = (connection, { decoded }) => {
    if (decoded?.kind !== 'write') return false
    connection.drop()
    return true
  }
  await expect(device.write(0, new Uint8Array(512), signal)).rejects.toThrow(
    expect.objectContaining({
      name: 'AppError',
      code: 'unreachable',
      effect: 'unknown',
      object: 'LUN web of array lab',
    }) as Error,
  )
  await device.close()
})

test('a cancelled call is aborted on the wire and says what may have happened', async () => {
  const device = await initiator.open(way(), signal)
  const controller = new AbortController()
  onCommand = (_, { decoded }) => {
    if (decoded?.kind !== 'write') return false
    controller.abort()
    return true
  }
  await expect(device.write(0, new Uint8Array(512), controller.signal)).rejects.toThrow(
    expect.objectContaining({ code: 'cancelled', effect: 'unknown' }) as Error,
  )
  expect(target.seen).toContain('taskManagementRequest')
  await device.close()
})

test('content that was written in part says so', async () => {
  const path = join(makeTempDir(), 'content.raw')
  writeFileSync(path, randomBytes(1024 * 1024))
  const content = {
    path,
    sizeBytes: 1024 * 1024,
    extents: [{ fileOffset: 0, offset: 0, lengthBytes: 1024 * 1024 }],
  }
  const device = await initiator.open(way(), signal)
  onCommand = (connection, command) => {
    if (command.decoded?.kind !== 'write') return false
    connection.sense(command, senses.writeError)
    return true
  }
  const failure = {
    object: 'LUN web of array lab',
    facts: { sense: expect.stringContaining('writeError') as string },
  }
  await expect(device.writeContent(0, content, { signal, isZeroed: false })).rejects.toThrow(
    expect.objectContaining({ code: 'device-rejected', effect: 'unknown', ...failure }) as Error,
  )
  await expect(
    device.writeContent(0, { ...content, path: `${path}.none` }, { signal, isZeroed: false }),
  ).rejects.toThrow(expect.objectContaining({ code: 'not-found', effect: 'none' }) as Error)
  await device.close()
})

test('the same LUN may be open several times, each over a session of its own', async () => {
  const [first, second] = await Promise.all([initiator.open(way(), signal), initiator.open(way(), signal)])
  expect(target.connections.length).toBe(2)
  await first.write(0, new Uint8Array(512).fill(7), signal)
  expect(await second.read(0, 512, signal)).toEqual(new Uint8Array(512).fill(7))
  await Promise.all([first.close(), second.close()])
})

test('closing logs out everywhere; what is opened after it works again', async () => {
  const other = createIscsiInitiator('iqn.2026-11.test:other')
  const device = await other.open(way(), signal)
  await other.close()
  expect(target.seen).toContain('logoutRequest')
  await expect(device.read(0, 512, signal)).rejects.toThrow(
    expect.objectContaining({ code: 'bad-request' }) as Error,
  )
  await device.close()
  const again = await other.open(way(), signal)
  expect((await again.read(0, 512, signal)).length).toBe(512)
  await other.close()
})
