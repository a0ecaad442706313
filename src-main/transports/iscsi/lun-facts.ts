import { AppError } from '#shared/errors/app-error.ts'
import { decodeCapacity10, decodeCapacity16 } from '#main/protocols/scsi/capacity.ts'
import type { Capacity } from '#main/protocols/scsi/capacity.ts'
import { encodeCdb } from '#main/protocols/scsi/cdb.ts'
import { decodeIdentification, formatDesignator } from '#main/protocols/scsi/designators.ts'
import { decodeInquiry } from '#main/protocols/scsi/inquiry.ts'
import type { Inquiry } from '#main/protocols/scsi/inquiry.ts'
import {
  decodeBlockLimits,
  decodeProvisioning,
  decodeSerial,
  decodeSupportedPages,
  vpdPage,
} from '#main/protocols/scsi/vpd.ts'
import type { BlockLimits, Provisioning } from '#main/protocols/scsi/vpd.ts'
import type { Command, Commander } from './commander.ts'

/** What a LUN is; read when it is opened. */
export interface LunFacts {
  readonly inquiry: Inquiry
  /** VPD page 80h; empty when the device has none. */
  readonly serial: string
  /** Names of the LUN (VPD page 83h), as formatDesignator prints them, sorted. */
  readonly names: readonly string[]
  readonly capacity: Capacity
  readonly limits: BlockLimits
  readonly provisioning: Provisioning
  readonly isWriteProtected: boolean
}

const inquiryBytes = 1024
const noLimits: BlockLimits = {
  refusesWriteSameToEnd: false,
  maxCompareAndWriteBlocks: 0,
  optimalTransferGranularity: 0,
  maxTransferBlocks: 0,
  optimalTransferBlocks: 0,
  maxUnmapBlocks: 0,
  maxUnmapDescriptors: 0,
  optimalUnmapGranularity: 0,
  maxWriteSameBlocks: 0,
}
const noProvisioning: Provisioning = {
  hasUnmap: false,
  hasWriteSame16Unmap: false,
  hasWriteSame10Unmap: false,
  readsZeros: false,
  type: 0,
}
const diskType = 0x00
const writeProtectBit = 0x80

/** A command that answers with up to `lengthBytes` bytes; what came of them. */
export async function query(
  commander: Commander,
  what: string,
  cdb: Uint8Array,
  lengthBytes: number,
  signal?: AbortSignal,
): Promise<Buffer> {
  const into = Buffer.alloc(lengthBytes)
  const command: Command = { what, cdb, into, changes: false, mayBeShort: true }
  const { received } = await commander.run(command, signal)
  return into.subarray(0, received)
}

export const readPage = (commander: Commander, page: number, signal?: AbortSignal): Promise<Buffer> =>
  query(
    commander,
    'inquiry',
    encodeCdb({ kind: 'inquiry', evpd: true, page, allocationLength: inquiryBytes }),
    inquiryBytes,
    signal,
  )

export async function readInquiry(commander: Commander, signal?: AbortSignal): Promise<Inquiry> {
  const cdb = encodeCdb({ kind: 'inquiry', allocationLength: inquiryBytes })
  return decodeInquiry(await query(commander, 'inquiry', cdb, inquiryBytes, signal))
}

export async function readCapacity(commander: Commander, signal?: AbortSignal): Promise<Capacity> {
  try {
    const cdb = encodeCdb({ kind: 'read-capacity', length: 16, allocationLength: 32 })
    return decodeCapacity16(await query(commander, 'capacity', cdb, 32, signal))
  } catch (error) {
    if (!isUnsupported(error)) throw error
    const cdb = encodeCdb({ kind: 'read-capacity', length: 10 })
    const { blocks, blockBytes } = decodeCapacity10(await query(commander, 'capacity', cdb, 8, signal))
    if (blocks === undefined) throw error
    return { blocks, blockBytes, physicalExponent: 0, lowestAligned: 0, isThin: false, readsZeros: false }
  }
}

export type Identity = Pick<LunFacts, 'serial' | 'names'>

export async function readIdentity(
  commander: Commander,
  pages: readonly number[],
  signal?: AbortSignal,
): Promise<Identity> {
  const serial = pages.includes(vpdPage.serial)
    ? decodeSerial(await readPage(commander, vpdPage.serial, signal))
    : ''
  const designators = pages.includes(vpdPage.identification)
    ? decodeIdentification(await readPage(commander, vpdPage.identification, signal))
    : []
  return {
    serial,
    names: designators
      .filter(({ of }) => of === 'lun')
      .map(formatDesignator)
      .toSorted(),
  }
}

export async function readSupportedPages(commander: Commander, signal?: AbortSignal): Promise<number[]> {
  try {
    return decodeSupportedPages(await readPage(commander, vpdPage.supportedPages, signal))
  } catch (error) {
    if (isUnsupported(error)) return []
    throw error
  }
}

/** Throws not-found when there is no LUN of this number, not-supported when it is no disk. */
export async function readFacts(
  commander: Commander,
  object: string,
  signal?: AbortSignal,
): Promise<LunFacts> {
  const inquiry = await readInquiry(commander, signal)
  if (inquiry.qualifier !== 0)
    throw new AppError('not-found', 'There is no such LUN at the target, or this initiator may not see it', {
      object,
      advice: 'See the LUNs of the target, and map it to this initiator.',
    })
  if (inquiry.deviceType !== diskType)
    throw new AppError('not-supported', 'The LUN is no disk', {
      object,
      facts: { deviceType: `${inquiry.deviceType.toString(16)}h` },
    })
  const pages = await readSupportedPages(commander, signal)
  const page = async <T>(number: number, decode: (bytes: Buffer) => T, otherwise: T): Promise<T> =>
    pages.includes(number) ? decode(await readPage(commander, number, signal)) : otherwise
  return {
    inquiry,
    ...(await readIdentity(commander, pages, signal)),
    capacity: usableCapacity(await readCapacity(commander, signal), object),
    limits: await page(vpdPage.blockLimits, decodeBlockLimits, noLimits),
    provisioning: await page(vpdPage.provisioning, decodeProvisioning, noProvisioning),
    isWriteProtected: await readWriteProtection(commander, signal),
  }
}

/** The WP bit in the header of MODE SENSE(6) (SBC-3, 6.4.1); a device without the command is not protected. */
async function readWriteProtection(commander: Commander, signal?: AbortSignal): Promise<boolean> {
  const cdb = encodeCdb({ kind: 'mode-sense', length: 6, page: 0x3f, allocationLength: 192 })
  try {
    const bytes = await query(commander, 'mode sense', cdb, 192, signal)
    return ((bytes[2] ?? 0) & writeProtectBit) !== 0
  } catch (error) {
    if (isUnsupported(error)) return false
    throw error
  }
}

function usableCapacity(capacity: Capacity, object: string): Capacity {
  const { blocks, blockBytes } = capacity
  const isUsable =
    blockBytes >= 512 &&
    blockBytes <= 65_536 &&
    (blockBytes & (blockBytes - 1)) === 0 &&
    Number.isSafeInteger(blocks * blockBytes)
  if (isUsable) return capacity
  throw new AppError('not-supported', 'The LUN has a size or block length that we do not handle', {
    object,
    facts: { blocks: String(blocks), blockBytes: String(blockBytes) },
  })
}

export const isUnsupported = (error: unknown): boolean =>
  error instanceof AppError && error.code === 'not-supported'
