import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { Lun } from '#main/transports/iscsi/lun.ts'
import { parsePortal } from '#main/transports/iscsi/portal.ts'
import type { LoadRequest, LoadResult } from './loads.ts'

/** Our initiator under load, as a process of its own: LoadRequest (JSON) as argument, LoadResult (JSON) printed. */
const request = JSON.parse(process.argv[2] ?? '') as LoadRequest
const { depth, transferBytes, seconds, isRandom, dataDigest, file } = request
const isid = new Uint8Array(randomBytes(6))
isid[0] = 0x80
const lun = await Lun.open(
  {
    portal: parsePortal(request.portal),
    initiatorName: 'iqn.2026-11.bench:gantry',
    targetName: request.target,
    lun: request.lun,
    isid,
    depth,
    wishes: { headerDigest: ['None'], dataDigest: [dataDigest ? 'CRC32C' : 'None'] },
  },
  new AbortController().signal,
)
const transfers = Math.floor(lun.sizeBytes / transferBytes)
const source = file === undefined ? undefined : await open(file, 'r')
const idleBytes = process.memoryUsage().rss
let mostBytes = 0

/** Reads for a time, or writes the file once. */
async function run(forMs: number): Promise<number> {
  const until = performance.now() + forMs
  let next = 0
  let done = 0
  const lane = async (): Promise<void> => {
    const buffer = Buffer.alloc(transferBytes)
    for (;;) {
      if (source === undefined ? performance.now() > until : next >= transfers) return
      const index = isRandom ? Math.floor(Math.random() * transfers) : next++ % transfers
      const offset = index * transferBytes
      if (source === undefined) await lun.readInto(offset, buffer)
      else {
        await source.read(buffer, 0, transferBytes, offset)
        await lun.write(offset, buffer)
      }
      done++
    }
  }
  await Promise.all(Array.from({ length: depth }, lane))
  return done
}

// Until V8 has compiled the data path; libiscsi is compiled already.
if (source === undefined) await run(2000)
const watch = setInterval(() => (mostBytes = Math.max(mostBytes, process.memoryUsage().rss)), 100)
const startedAt = performance.now()
const cpu = process.cpuUsage()
const transfersDone = await run(seconds * 1000)
if (source !== undefined) await lun.flush()
const { user, system } = process.cpuUsage(cpu)
clearInterval(watch)
const result: LoadResult = {
  bytesPerSecond: (transfersDone * transferBytes) / ((performance.now() - startedAt) / 1000),
  cpuSecondsPerGiB: (user + system) / 1e6 / ((transfersDone * transferBytes) / 2 ** 30),
  grownBytes: Math.max(0, mostBytes - idleBytes),
}
await source?.close()
await lun.close()
process.stdout.write(JSON.stringify(result))
