import { createHash, randomUUID } from 'node:crypto'
import { link, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { lunIdentitySchema } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { syncFolder } from '#main/transports/local/durable.ts'
import { systemCode } from '#main/transports/local/file-errors.ts'
import { translateError } from '../errors.ts'
import { removeFile } from '../publish.ts'

const formatVersion = 1

export const tableLunSchema = z.object({
  identity: lunIdentitySchema,
  /** The volume's folder and, below it, the object. */
  volumePath: z.string(),
  path: z.string(),
  isReadOnly: z.boolean(),
  sizeBytes: z.number(),
  /** The mark beside the object when the LUN was made: what lies at the path later must bear it too. */
  mark: z.string().optional(),
  initiators: z.array(z.string()),
})
export type TableLun = z.infer<typeof tableLunSchema>

const fileSchema = z.object({
  format: z.literal('gantry-embedded-array'),
  version: z.literal(formatVersion),
  luns: z.array(tableLunSchema),
  /** SHA-256 (hex) of the LUNs as JSON. */
  sha256: z.string(),
})

/** Where the version of the table before the last change lies. It is never used by itself: it may be out of date. */
export const backupOf = (path: string): string => `${path}.before`

export function encodeTable(table: readonly TableLun[]): string {
  // parsing puts the fields in one order, on which the checksum depends
  const luns = z.array(tableLunSchema).parse(table)
  return JSON.stringify({
    format: 'gantry-embedded-array',
    version: formatVersion,
    luns,
    sha256: digest(luns),
  })
}

/** The table of LUNs; empty when there is no file. Throws device-rejected when the file is not what was written. */
export async function readTable(path: string): Promise<TableLun[]> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    // a rename was cut off, or somebody took the file away: an empty table would be a guess
    if (systemCode(error) === 'ENOENT')
      return (await exists(backupOf(path))) ? damaged(path, 'it is missing') : []
    throw translateError(error, path)
  }
  try {
    const { luns, sha256 } = fileSchema.parse(JSON.parse(text))
    if (digest(luns) !== sha256) throw new Error('its checksum is wrong')
    const names = luns.flatMap(({ identity, path: file }) => [identity.target, identity.serial, file])
    if (new Set(names).size !== names.length) throw new Error('it has a LUN twice')
    return luns
  } catch (error) {
    const what = error instanceof z.ZodError ? z.prettifyError(error) : String(error)
    return damaged(path, what, error)
  }
}

/** Replaces the table as a whole; it is on the disk when this resolves. What was there becomes the backup. */
export async function writeTable(path: string, luns: readonly TableLun[]): Promise<void> {
  const next = `${path}.${randomUUID()}`
  try {
    const file = await open(next, 'wx', 0o600)
    try {
      await file.writeFile(encodeTable(luns))
      await file.sync()
    } finally {
      await file.close()
    }
    await removeFile(backupOf(path))
    await link(path, backupOf(path)).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error
    })
    await rename(next, path)
    await syncFolder(dirname(path))
  } catch (error) {
    await removeFile(next)
    throw translateError(error, `table of LUNs ${path}`)
  }
}

const digest = (luns: readonly TableLun[]): string =>
  createHash('sha256').update(JSON.stringify(luns)).digest('hex')

async function exists(path: string): Promise<boolean> {
  return (await readFile(path).catch(() => undefined)) !== undefined
}

function damaged(path: string, what: string, cause?: unknown): never {
  throw new AppError('device-rejected', 'The table of LUNs is damaged; nothing is served from it', {
    object: path,
    facts: { found: what, backup: backupOf(path) },
    advice:
      'The backup holds the table as it was before the last change. Put it in the place of the damaged file if it is ' +
      'right, or move both away and run "gantry lun restore", which makes the LUNs again that the inventory knows.',
    ...(cause === undefined ? {} : { cause }),
  })
}
