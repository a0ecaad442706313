import { array, asyncProperty, assert, constantFrom, nat, record } from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { scriptedTargetName, startScriptedTarget } from '#test/support/scripted-target.ts'
import type { ScriptedTarget } from '#test/support/scripted-target.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { encodeCdb } from '#main/protocols/scsi/cdb.ts'
import { Session } from './session.ts'
import { Task } from './task.ts'

/** A session costs a thousand times what a decoder does: a share of the runs of the decoders. */
const runs = Math.ceil(Number(process.env['GANTRY_FUZZ_RUNS'] ?? 20_000) / 100)
const readBytes = 1024

const change = record({
  at: nat(3 * 48 + readBytes),
  value: constantFrom(0, 1, 2, 0x7f, 0x80, 0xc0, 0xfe, 0xff),
  length: constantFrom(1, 1, 2, 4),
})
const plan = record({
  changes: array(change, { minLength: 1, maxLength: 4 }),
  kind: constantFrom('dataIn', 'response', 'readyToTransfer', 'nopIn', 'asyncMessage', 'reject', 'text'),
  piece: nat(200),
})

let target: ScriptedTarget
let next: { bytes: (tag: number) => Buffer; piece: number } | undefined
const unhandled: unknown[] = []
const onUnhandled = (error: unknown): void => void unhandled.push(error)

beforeAll(async () => {
  process.on('unhandledRejection', onUnhandled)
  target = await startScriptedTarget({
    onCommand(connection, { initiatorTaskTag }) {
      const bytes = next?.bytes(initiatorTaskTag) ?? Buffer.alloc(0)
      const piece = (next?.piece ?? 0) + 1
      for (let at = 0; at < bytes.length; at += piece) connection.raw(bytes.subarray(at, at + piece))
      connection.end()
      return true
    },
  })
})
afterAll(async () => {
  process.off('unhandledRejection', onUnhandled)
  await target.close()
})

test(
  'whatever a target sends, a command ends once, with a status or a reason',
  { timeout: 60_000 + runs * 20 },
  async () => {
    await assert(
      asyncProperty(plan, async ({ changes, kind, piece }) => {
        const into = Buffer.alloc(readBytes + 64, 0xee)
        const session = await Session.open(
          {
            portal: { host: '127.0.0.1', port: target.port },
            initiatorName: 'iqn.2026-11.test:fuzz',
            targetName: scriptedTargetName,
            isid: Uint8Array.of(0x80, 0, 0, 0, 0, 1),
          },
          new AbortController().signal,
        )
        next = { piece, bytes: (initiatorTaskTag) => mutated(initiatorTaskTag, kind, changes) }
        const closed = new Promise<void>((resolve) => session.onceClosed(() => resolve()))
        let ends = 0
        const task = await new Promise<Task>((resolve) => {
          session.submit(
            new Task({
              lun: new Uint8Array(8),
              cdb: encodeCdb({ kind: 'read', length: 10, lba: 0, blocks: readBytes / 512 }),
              into: into.subarray(0, readBytes),
              timeoutMs: 5000,
              onDone: (done) => {
                ends++
                resolve(done)
              },
            }),
          )
        })
        await closed
        if (ends !== 1) throw new Error(`the command ended ${ends} times`)
        if (task.outcome !== 'status' && !(task.error instanceof AppError && task.error.code !== 'bug'))
          throw new Error('no reason')
        if (into.subarray(readBytes).some((byte) => byte !== 0xee)) throw new Error('wrote beyond the buffer')
      }),
      { numRuns: runs },
    )
    expect(unhandled).toEqual([])
  },
)

function mutated(
  initiatorTaskTag: number,
  kind: string,
  changes: readonly { readonly at: number; readonly value: number; readonly length: number }[],
): Buffer {
  const connection = target.connections.at(-1)
  if (connection === undefined) return Buffer.alloc(0)
  const half = Buffer.alloc(readBytes / 2, 0x5a)
  const first = {
    dataIn: () => connection.frame('dataIn', { initiatorTaskTag }, half),
    response: () =>
      connection.frame('scsiResponse', { initiatorTaskTag, status: 2 }, Buffer.from([0, 4, 0x70, 0, 6, 0])),
    readyToTransfer: () =>
      connection.frame('readyToTransfer', { initiatorTaskTag, desiredDataTransferLength: 512 }),
    nopIn: () => connection.frame('nopIn', { targetTransferTag: 9 }, Buffer.from('ping')),
    asyncMessage: () => connection.frame('asyncMessage', { event: 1, parameter3: 1 }),
    reject: () => connection.frame('reject', { reason: 4 }, Buffer.alloc(48)),
    text: () =>
      connection.frame('textResponse', { initiatorTaskTag: 0x40000000, final: true }, Buffer.from('A=b\0')),
  }[kind]
  const bytes = Buffer.concat([
    ...(first?.() ?? []),
    ...connection.frame(
      'dataIn',
      { initiatorTaskTag, dataSn: 1, bufferOffset: half.length, final: true, hasStatus: true },
      half,
    ),
  ])
  for (const { at, value, length } of changes) {
    const start = at % bytes.length
    bytes.fill(value, start, Math.min(bytes.length, start + length))
  }
  return bytes
}
