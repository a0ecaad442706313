import { Buffer } from 'node:buffer'
import { AppError } from '#shared/errors/app-error.ts'
import { sectorBytes } from '#shared/units/bytes.ts'
import { encodeGptHeader, encodeProtectiveMbr, protectedSectors } from './encode.ts'
import { decodeBackupGpt, decodePrimaryTable, type Gpt, type GptPartition } from './gpt.ts'
import type { GptHeader } from './header.ts'
import { decodeMbr, type Mbr } from './mbr.ts'

/** Bytes to write to a disk, whole sectors. */
export interface DiskWrite {
  readonly offsetBytes: number
  readonly bytes: Uint8Array
  /** For the plan: "backup GPT". */
  readonly what: string
}

export interface GptRepair {
  /** What is wrong, in sentences; empty: nothing is, and there is nothing to write. */
  readonly problems: readonly string[]
  /** The copy that is believed. The primary one is, where both verify: so do firmware and operating systems. */
  readonly source: 'primary' | 'backup'
  readonly partitions: readonly GptPartition[]
  /** In this order, each flushed before the next: at every moment one whole copy stands. */
  readonly writes: readonly DiskWrite[]
}

type Copy = { readonly gpt: Gpt } | { readonly problem: string }

/**
 * How both copies of the GPT become whole and agree again: one is made from the other, and the backup moves to the end
 * of a disk that has grown (or shrunk behind its last partition).
 * @param start the first bytes of the disk, usually 1 MiB; `end` its last bytes, usually 1 MiB
 * @throws device-rejected when neither copy verifies, when the disk ends before a partition does, or when an MBR table
 *   stands over the GPT; nothing may be written then
 */
export function planGptRepair(start: Uint8Array, end: Uint8Array, diskBytes: number): GptRepair {
  const primary = attempt(() => decodePrimaryTable(start))
  const backup = attempt(() => decodeBackupGpt(end, diskBytes))
  const believed = 'gpt' in primary ? primary : backup
  if ('problem' in believed) throw bothDamaged(primary, backup)
  const { gpt } = believed
  const lastLba = diskBytes / sectorBytes - 1
  const wanted = wantedHeaders(gpt, lastLba)
  requireRoom(gpt, wanted.primary, lastLba)

  const resized = isPrimary(gpt) && gpt.header.otherLba !== lastLba
  const first = firstSector(start, diskBytes, resized)
  const primaryPart = primaryRepair(primary, wanted.primary, gpt)
  const backupPart = backupRepair(backup, wanted.backup, gpt)
  const order = isPrimary(gpt) ? [backupPart, first, primaryPart] : [primaryPart, first, backupPart]
  const parts = [primaryPart, ...(resized ? [] : [backupPart]), first]
  return {
    problems: [
      ...(resized ? [sizeProblem(gpt.header.otherLba, lastLba)] : []),
      ...parts.flatMap(({ problems }) => problems),
    ],
    source: isPrimary(gpt) ? 'primary' : 'backup',
    partitions: gpt.partitions,
    writes: order.flatMap(({ writes }) => writes),
  }
}

interface Part {
  readonly problems: readonly string[]
  readonly writes: readonly DiskWrite[]
}
const nothing: Part = { problems: [], writes: [] }

const isPrimary = ({ header }: Gpt): boolean => header.currentLba === 1

function attempt(decode: () => Gpt): Copy {
  try {
    return { gpt: decode() }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { problem: error.message }
  }
}

const sectorsOfEntries = ({ entries }: Gpt): number => Math.ceil(entries.length / sectorBytes)

function wantedHeaders(
  gpt: Gpt,
  lastLba: number,
): { readonly primary: GptHeader; readonly backup: GptHeader } {
  const { header } = gpt
  const limit = lastLba - sectorsOfEntries(gpt) - 1
  const hasItsSize = isPrimary(gpt) ? header.otherLba === lastLba : true
  const common = { ...header, lastUsableLba: hasItsSize ? Math.min(header.lastUsableLba, limit) : limit }
  return {
    primary: {
      ...common,
      currentLba: 1,
      otherLba: lastLba,
      entriesLba: isPrimary(gpt) ? header.entriesLba : 2,
    },
    backup: { ...common, currentLba: lastLba, otherLba: 1, entriesLba: limit + 1 },
  }
}

function requireRoom(gpt: Gpt, primary: GptHeader, lastLba: number): void {
  const cut = gpt.partitions.find(({ firstLba, sectors }) => firstLba + sectors - 1 > primary.lastUsableLba)
  if (cut !== undefined)
    throw new AppError(
      'device-rejected',
      `The disk ends before its partition ${cut.number} does: it has become smaller`,
      {
        facts: {
          'last sector of the partition': String(cut.firstLba + cut.sectors - 1),
          'last sector that can hold a partition': String(primary.lastUsableLba),
          'last sector of the disk': String(lastLba),
        },
        advice: 'Give the LUN or file its old size again; nothing may be written to it before.',
      },
    )
  if (primary.entriesLba + sectorsOfEntries(gpt) > primary.firstUsableLba)
    throw new AppError('device-rejected', 'The first usable sector leaves no room for the primary GPT', {
      facts: { 'first usable sector': String(primary.firstUsableLba) },
    })
}

const isAsWanted = (found: GptHeader, wanted: GptHeader): boolean =>
  found.diskGuid === wanted.diskGuid &&
  found.otherLba === wanted.otherLba &&
  found.firstUsableLba === wanted.firstUsableLba &&
  found.lastUsableLba === wanted.lastUsableLba &&
  found.entryCount === wanted.entryCount &&
  found.entryBytes === wanted.entryBytes &&
  found.entriesCrc === wanted.entriesCrc

function primaryRepair(found: Copy, wanted: GptHeader, source: Gpt): Part {
  if ('gpt' in found && isAsWanted(found.gpt.header, wanted)) return nothing
  const header = { offsetBytes: sectorBytes, bytes: encodeGptHeader(wanted), what: 'primary GPT header' }
  if ('gpt' in found) {
    const overBackup = found.gpt.header.lastUsableLba > wanted.lastUsableLba
    const problem = 'The primary GPT lets partitions lie where its backup is'
    return { problems: overBackup ? [problem] : [], writes: [header] }
  }
  const entries = {
    offsetBytes: wanted.entriesLba * sectorBytes,
    bytes: wholeSectors(source.entries),
    what: 'primary GPT entries',
  }
  return { problems: [`The primary GPT is damaged: ${found.problem}`], writes: [entries, header] }
}

function backupRepair(found: Copy, wanted: GptHeader, source: Gpt): Part {
  if ('gpt' in found && isAsWanted(found.gpt.header, wanted)) return nothing
  const problem =
    'problem' in found
      ? `The backup GPT is damaged: ${found.problem}`
      : 'The backup GPT is not that of the primary one'
  const bytes = Buffer.concat([wholeSectors(source.entries), encodeGptHeader(wanted)])
  return {
    problems: [problem],
    writes: [{ offsetBytes: wanted.entriesLba * sectorBytes, bytes, what: 'backup GPT' }],
  }
}

const sizeProblem = (otherLba: number, lastLba: number): string =>
  `The disk has ${otherLba < lastLba ? 'grown' : 'shrunk'}: its backup GPT belongs at sector ${lastLba}, the primary GPT says ${otherLba}`

/** The protective MBR, without which most tools do not look for the GPT. */
function firstSector(start: Uint8Array, diskBytes: number, hasNewSize: boolean): Part {
  const write = { offsetBytes: 0, bytes: encodeProtectiveMbr(diskBytes, start), what: 'protective MBR' }
  let mbr: Mbr
  try {
    mbr = decodeMbr(start)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { problems: [`The protective MBR is damaged: ${error.message}`], writes: [write] }
  }
  const [only, ...others] = mbr.partitions
  if (only === undefined) return { problems: ['The protective MBR names no partition'], writes: [write] }
  if (!mbr.protective)
    throw new AppError('device-rejected', 'An MBR partition table stands in the first sector, over the GPT', {
      facts: { partitions: String(mbr.partitions.length) },
      advice: 'Find out which of the two tables is in use. Gantry changes neither.',
    })
  const isAlone = others.length === 0
  return hasNewSize && isAlone && only.sectors !== protectedSectors(diskBytes) && only.sectors !== 0xffff_ffff
    ? { problems: [], writes: [write] }
    : nothing
}

const wholeSectors = (bytes: Uint8Array): Uint8Array =>
  bytes.length % sectorBytes === 0
    ? bytes
    : Buffer.concat([bytes, Buffer.alloc(sectorBytes - (bytes.length % sectorBytes))])

function bothDamaged(primary: Copy, backup: Copy): AppError {
  const problemOf = (copy: Copy): string => ('problem' in copy ? copy.problem : 'verifies')
  return new AppError('device-rejected', 'Both copies of the GPT are damaged', {
    facts: { primary: problemOf(primary), backup: problemOf(backup) },
    advice:
      'If the LUN has been made larger, its backup GPT is where its end was: give it the old size and try again. Else restore it from a copy.',
  })
}
