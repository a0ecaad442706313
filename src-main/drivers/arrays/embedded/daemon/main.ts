import { z } from 'zod'
import { encodeError } from '#shared/errors/wire-error.ts'
import { startIscsiTarget } from '#main/transports/iscsi-target/target.ts'
import type { Birth } from './protocol.ts'
import { runDaemon } from './run-daemon.ts'

/**
 * The process that serves the LUNs of an embedded array: `main.ts FOLDER VERSION`. It outlives the console that
 * starts it and tells that one, over the channel of its birth, whether it serves. What it prints is the log.
 */
async function main(): Promise<void> {
  process.umask(0o077)
  const [folder, version] = z.tuple([z.string(), z.string()]).parse(process.argv.slice(2))
  try {
    const daemon = await runDaemon({ folder, version, startTarget: startIscsiTarget, log, idleMs })
    if (daemon === undefined) return await tell({ born: false })
    log(`began, process ${process.pid}, version ${version}`)
    process.once('SIGTERM', daemon.stop)
    process.once('SIGINT', daemon.stop)
    process.on('SIGHUP', () => undefined)
    await tell({ born: true })
    await daemon.ended
    log('ended')
    process.exit()
  } catch (error) {
    const wire = encodeError(error)
    log(`cannot serve: ${wire.message} (${wire.code}) ${JSON.stringify(wire.facts)}`)
    await tell({ born: 'failed', error: wire })
    process.exitCode = 1
  }
}

const idleMs = 300_000

function log(text: string): void {
  process.stdout.write(`${new Date().toISOString()} ${text.replaceAll(/[\r\n]+/g, ' ')}\n`)
}

async function tell(birth: Birth): Promise<void> {
  if (process.send === undefined || !process.connected) return
  await new Promise<void>((resolve) => process.send?.(birth, undefined, undefined, () => resolve()))
  if (process.connected) process.disconnect()
}

void main()
