import { sectorBytes } from '#shared/units/bytes.ts'
import { malformed, slice, viewOf } from './malformed.ts'

export interface MbrPartition {
  /** 1 to 4, the place in the table. */
  readonly number: number
  readonly type: number
  readonly bootable: boolean
  readonly firstLba: number
  readonly sectors: number
}

export interface Mbr {
  readonly diskSignature: number
  /** The used entries. Logical partitions inside an extended one (types 05, 0f) are not followed. */
  readonly partitions: readonly MbrPartition[]
  /** It only guards a GPT (UEFI 2.10, section 5.2.3). */
  readonly protective: boolean
}

const tableOffset = 446
const entryBytes = 16
const protectiveType = 0xee

/**
 * The master boot record. Throws device-rejected when the signature or an entry is wrong.
 *
 *     0     440   boot code
 *     440     4   disk signature
 *     446    64   four entries: status (80 bootable, 00), CHS (3), type, CHS (3), first LBA (4), sectors (4)
 *     510     2   55 aa
 */
export function decodeMbr(bytes: Uint8Array): Mbr {
  const sector = slice(bytes, 'master boot record', 0, sectorBytes)
  const view = viewOf(sector)
  if (view.getUint16(510, true) !== 0xaa55)
    throw malformed('boot signature', 510, '0xaa55', `0x${view.getUint16(510, true).toString(16)}`)

  const partitions: MbrPartition[] = []
  for (let index = 0; index < 4; index++) {
    const offset = tableOffset + index * entryBytes
    const type = view.getUint8(offset + 4)
    if (type === 0) continue
    const status = view.getUint8(offset)
    if (status !== 0 && status !== 0x80)
      throw malformed('status of the MBR entry', offset, '0 or 128', status)
    const firstLba = view.getUint32(offset + 8, true)
    const sectors = view.getUint32(offset + 12, true)
    if (firstLba === 0) throw malformed('first LBA of the MBR entry', offset + 8, 'at least 1', firstLba)
    if (sectors === 0) throw malformed('length of the MBR entry', offset + 12, 'at least 1', sectors)
    partitions.push({ number: index + 1, type, bootable: status === 0x80, firstLba, sectors })
  }
  return {
    diskSignature: view.getUint32(440, true),
    partitions,
    protective: partitions.some(({ type }) => type === protectiveType),
  }
}
