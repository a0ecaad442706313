import { randomBytes, randomUUID } from 'node:crypto'
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { initiatorNameSchema } from '#shared/domain/names.ts'
import { systemCode } from '#main/transports/local/file-errors.ts'
import { AppError } from '#shared/errors/app-error.ts'

/**
 * The iSCSI name of this console, made once and kept in its data folder: arrays map LUNs to it. A file of its own, for
 * it must outlive the inventory, and a person may put a registered name there.
 */
export function consoleInitiatorName(dataDir: string): string {
  const path = join(dataDir, 'initiator-name')
  const known = read(path)
  if (known !== undefined) return known
  const next = `${path}.${randomUUID()}`
  writeFileSync(next, `iqn.2026-11.gantry.console:${randomBytes(6).toString('hex')}\n`, { mode: 0o600 })
  try {
    // fails when another process has made one meanwhile
    linkSync(next, path)
  } catch {
    // the other one's is read
  } finally {
    rmSync(next, { force: true })
  }
  const made = read(path)
  if (made === undefined)
    throw new AppError('device-rejected', 'The initiator name of this console cannot be kept', {
      object: path,
    })
  return made
}

function read(path: string): string | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8').trim()
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
  if (initiatorNameSchema.safeParse(text).success) return text
  throw new AppError('bad-request', `"${text.slice(0, 80)}" is not the name of an iSCSI initiator`, {
    object: path,
    advice: 'Write one there, like iqn.2026-11.org.example:console, or remove the file: a new one is made.',
  })
}
