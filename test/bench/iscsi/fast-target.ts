import { framePdu } from '#main/protocols/iscsi/frame.ts'
import { at, opcode } from '#main/protocols/iscsi/opcodes.ts'
import { encodePdu } from '#main/protocols/iscsi/pdus.ts'
import { startScriptedTarget } from '#test/support/scripted-target.ts'
import type { ScriptedConnection } from '#test/support/scripted-target.ts'

/**
 * A target that is no bottleneck, as a process of its own: every READ(10) is answered with the same bytes, all answers
 * of a turn in one write. Prints its portal.
 */
const blockBytes = 512
const read10 = 0x28
const batchBytes = 512 * 1024

interface Batch {
  buffer: Buffer
  used: number
}
const batches = new WeakMap<ScriptedConnection, Batch>()
const spare: Buffer[] = []
const takeBuffer = (): Buffer => spare.pop() ?? Buffer.alloc(batchBytes)
const templates = new Map<number, Buffer>()

/** A whole Data-In with status; only its header changes, so that a data digest stays right. */
function templateOf(lengthBytes: number, hasDigest: boolean): Buffer {
  const key = lengthBytes * 2 + Number(hasDigest)
  let template = templates.get(key)
  if (template === undefined) {
    const header = encodePdu('dataIn', { final: true, hasStatus: true })
    const digests = { header: false, data: hasDigest }
    template = Buffer.concat(framePdu(header, { data: Buffer.alloc(lengthBytes, 0x5a), digests }))
    templates.set(key, template)
  }
  return template
}

function send(connection: ScriptedConnection, batch: Batch): void {
  const { buffer, used } = batch
  connection.socket.write(buffer.subarray(0, used), () => spare.push(buffer))
  batches.delete(connection)
}

const target = await startScriptedTarget({
  commandWindow: 1024,
  wishes: { maxBurstLength: 16_776_192, maxRecvDataSegmentLength: 262_144 },
  onRaw(connection, header) {
    if (header[0] !== opcode.scsiCommand || header[at.cdb] !== read10) return false
    const template = templateOf(header.readUInt16BE(at.cdb + 7) * blockBytes, connection.hasDataDigest)
    let batch = batches.get(connection)
    if (batch !== undefined && batch.used + template.length > batch.buffer.length) {
      send(connection, batch)
      batch = undefined
    }
    if (batch === undefined) {
      const fresh = { buffer: takeBuffer(), used: 0 }
      batch = fresh
      batches.set(connection, batch)
      process.nextTick(() => {
        if (batches.get(connection) === fresh) send(connection, fresh)
      })
    }
    const { buffer, used } = batch
    template.copy(buffer, used)
    batch.used += template.length
    connection.expCmdSn = (header.readUInt32BE(at.cmdSn) + 1) >>> 0
    header.copy(buffer, used + at.initiatorTaskTag, at.initiatorTaskTag, at.initiatorTaskTag + 4)
    buffer.writeUInt32BE(connection.statSn, used + at.statSn)
    buffer.writeUInt32BE(connection.expCmdSn, used + at.expCmdSn)
    buffer.writeUInt32BE((connection.expCmdSn + 1023) >>> 0, used + at.maxCmdSn)
    connection.statSn = (connection.statSn + 1) >>> 0
    return true
  },
})
target.lun.disk = Buffer.alloc(256 * 1024 * 1024)
process.stdout.write(`127.0.0.1:${target.port}\n`)
