import { Buffer } from 'node:buffer'
import {
  headerPartitionFirstLba,
  headerPartitionMbrType,
  headerPartitionSectors,
  unitPartitionTypes,
} from '#shared/domain/unit-layout.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { sectorBytes } from '#shared/units/bytes.ts'
import { bearsGptSignature, decodePrimaryGpt } from '../gpt/gpt.ts'
import { parseGuid } from '../gpt/guid.ts'
import { decodeMbr } from '../gpt/mbr.ts'
import type { MbrPartition } from '../gpt/mbr.ts'

export interface UnitPartition {
  readonly number: number
  /** GPT: type GUID in lower case; MBR: "0xda". */
  readonly type: string
  readonly firstLba: number
  readonly sectors: number
  /** GPT only. */
  readonly guid?: string
  readonly name?: string
}

export interface PartitionTable {
  readonly kind: 'gpt' | 'mbr' | 'none'
  /** What is wrong with it; then there are no partitions. */
  readonly problem?: string
  readonly partitions: readonly UnitPartition[]
  /**
   * Whether the table marks the disk as a unit. Of a damaged table the place counts where the marking would be, so
   * that a damaged unit is not hidden.
   */
  readonly marked: boolean
}

/** The partition table at the beginning of a disk. Never throws. */
export function decodePartitionTable(bytes: Uint8Array): PartitionTable {
  const gptSector = bytes.subarray(sectorBytes, 2 * sectorBytes)
  const bootSignature = bytes[510] === 0x55 && bytes[511] === 0xaa
  try {
    const mbr = bootSignature ? decodeMbr(bytes) : undefined
    if (mbr?.protective === false) return mbrTable(mbr.partitions)
    if (mbr === undefined && !bearsGptSignature(gptSector))
      return { kind: 'none', partitions: [], marked: false }
    const { partitions } = decodePrimaryGpt(bytes)
    return {
      kind: 'gpt',
      partitions,
      marked: partitions.some(({ type }) => type === unitPartitionTypes.header),
    }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    const kind = bearsGptSignature(gptSector) || bytes[450] === 0xee ? 'gpt' : 'mbr'
    return { kind, problem: error.message, partitions: [], marked: bearsMarking(bytes) }
  }
}

function mbrTable(partitions: readonly MbrPartition[]): PartitionTable {
  const named = partitions.map(({ number, type, firstLba, sectors }) => ({
    number,
    type: mbrTypeName(type),
    firstLba,
    sectors,
  }))
  return { kind: 'mbr', partitions: named, marked: named.some(isMbrMarking) }
}

const mbrTypeName = (type: number): string => `0x${type.toString(16).padStart(2, '0')}`

// Other products use type 0xda too; only our place and length together with it are a marking.
const isMbrMarking = ({ type, firstLba, sectors }: UnitPartition): boolean =>
  type === mbrTypeName(headerPartitionMbrType) &&
  firstLba === headerPartitionFirstLba &&
  sectors === headerPartitionSectors

const headerTypeBytes = parseGuid(unitPartitionTypes.header)
/** Where a unit has its first GPT entry: at LBA 2. */
const firstEntryOffset = 2 * sectorBytes
const firstMbrTypeOffset = 450

const bearsMarking = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.subarray(firstEntryOffset, firstEntryOffset + 16)).equals(headerTypeBytes) ||
  bytes[firstMbrTypeOffset] === headerPartitionMbrType
