import { Buffer } from 'node:buffer'
import { bearsGptSignature } from '../gpt/gpt.ts'
import { decodeMbr, type MbrPartition } from '../gpt/mbr.ts'
import { findBackup, inspectUnit, type DiskEnds } from '../unit/inspect-unit.ts'
import { decodePartitionTable, type UnitPartition } from '../unit/partition-table.ts'
import type { Unit } from '../unit/unit.ts'
import { findSignatures } from './signatures.ts'

/**
 * What a LUN is, by its two ends alone (B5, B12).
 *
 *     vm          a unit of a VM, base or secondary
 *     container   a staged template
 *     newer       a unit of a later format: not to be written to
 *     damaged     marked as a unit, or once marked, and something does not verify
 *     boot        somebody's system disk; `signs` says by what
 *     other       `content` says what lies on it
 *     empty       zeros at both ends
 */
export type LunClass =
  | { readonly kind: 'vm' | 'container' | 'newer' | 'damaged'; readonly unit: Unit }
  | { readonly kind: 'boot'; readonly signs: readonly string[]; readonly content: readonly string[] }
  | { readonly kind: 'other'; readonly content: readonly string[] }
  | { readonly kind: 'empty' }

/** Never throws. */
export function classifyLun(ends: DiskEnds): LunClass {
  const unit = inspectUnit(ends)
  if (unit.state === 'damaged' || unit.state === 'newer') return { kind: unit.state, unit }
  if (unit.state === 'ok') return { kind: unit.header?.role === 'container' ? 'container' : 'vm', unit }

  const signatures = findSignatures(ends.first, ends.last, ends.sizeBytes)
  const table = signatures.some((name) => hasBootSector.has(name)) ? noTable : describeTable(ends)
  const content = [...table.content, ...signatures]
  if (table.signs.length > 0) return { kind: 'boot', signs: table.signs, content }
  if (content.length > 0) return { kind: 'other', content }
  return isZero(ends.first) && isZero(ends.last)
    ? { kind: 'empty' }
    : { kind: 'other', content: ['data of an unknown kind'] }
}

/** Their first sector looks like an MBR and is none. */
const hasBootSector: ReadonlySet<string> = new Set([
  'NTFS file system',
  'exFAT file system',
  'ReFS file system',
  'FAT file system',
  'BitLocker volume',
])

const isZero = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).equals(Buffer.alloc(bytes.length))

interface TableFindings {
  readonly content: readonly string[]
  readonly signs: readonly string[]
}

const noTable: TableFindings = { content: [], signs: [] }

function describeTable({ first, last, sizeBytes }: DiskEnds): TableFindings {
  const table = decodePartitionTable(first)
  const lost = table.kind === 'none' || table.problem !== undefined
  const backup = lost ? findBackup(last, sizeBytes) : undefined
  if (backup !== undefined)
    return {
      content: [`GPT with ${count(backup.partitions)}, its primary copy lost`],
      signs: gptSigns(backup.partitions),
    }
  if (table.kind === 'none')
    return { content: bearsGptSignature(last.subarray(-512)) ? ['GPT, damaged'] : [], signs: [] }
  const name = table.kind.toUpperCase()
  if (table.problem !== undefined)
    return {
      content: [`${name} partition table, damaged: ${table.problem}`],
      signs: table.kind === 'mbr' ? activeSigns(first) : [],
    }
  if (table.kind === 'gpt')
    return { content: [`GPT with ${count(table.partitions)}`], signs: gptSigns(table.partitions) }
  const { partitions } = decodeMbr(first)
  return { content: [`MBR with ${count(partitions)}`], signs: mbrSigns(partitions) }
}

const count = ({ length }: readonly unknown[]): string => `${length} partition${length === 1 ? '' : 's'}`

const rootOf = (architecture: string): string => `a Linux root partition (${architecture})`

/** UEFI 2.10 section 5.3.3 and the Discoverable Partitions Specification. */
const bootTypes: Readonly<Record<string, string>> = {
  'c12a7328-f81f-11d2-ba4b-00a0c93ec93b': 'an EFI system partition',
  '21686148-6449-6e6f-744e-656564454649': 'a BIOS boot partition',
  'bc13c2ff-59e6-4262-a352-b275fd6f7172': 'an extended boot partition',
  '9e1a2d38-c612-4316-aa26-8b49521e5a8b': 'a PowerPC boot partition',
  '4f68bce3-e8cd-4db1-96e7-fbcaf984b709': rootOf('x86-64'),
  '44479540-f297-41b2-9af7-d131d5f0458a': rootOf('x86'),
  'b921b045-1df0-41c3-af44-4c6f280d3fae': rootOf('ARM 64'),
  '69dad710-2ce4-4e3c-b16c-21a1d49abed3': rootOf('ARM 32'),
  '72ec70a6-cf74-40e6-bd49-4bda08e8f224': rootOf('RISC-V 64'),
}

const gptSigns = (partitions: readonly UnitPartition[]): string[] => [
  ...new Set(partitions.flatMap(({ type }) => bootTypes[type] ?? [])),
]

function mbrSigns(partitions: readonly MbrPartition[]): string[] {
  const signs: string[] = []
  if (partitions.some(({ bootable }) => bootable)) signs.push('an active MBR partition')
  if (partitions.some(({ type }) => type === 0xef)) signs.push('an EFI system partition')
  if (partitions.some(({ type }) => type === 0x41)) signs.push('a PowerPC boot partition')
  return signs
}

/** Of a damaged MBR: better taken for a boot disk than not. */
const activeSigns = (first: Uint8Array): string[] =>
  [446, 462, 478, 494].some((offset) => first[offset] === 0x80 && first[offset + 4] !== 0)
    ? ['an active MBR partition']
    : []
