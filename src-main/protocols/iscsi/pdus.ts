import type { Buffer } from 'node:buffer'
import { bits, bytes, decodeHeader, encodeHeader, flag, u16, u32, u8 } from './layout.ts'
import type { Header, Layout } from './layout.ts'
import { malformed } from './malformed.ts'
import { at, bhsBytes, bit, opcode, opcodeMask, reservedTag } from './opcodes.ts'

const immediate = flag(0, 0x40)
const final = flag(1, 0x80)
const lun = bytes(8, 8)
const initiatorTaskTag = u32(16)
const targetTransferTag = u32(20)
const request = { cmdSn: u32(24), expStatSn: u32(28) }
const answer = { statSn: u32(24), expCmdSn: u32(28), maxCmdSn: u32(32) }
const login = {
  transit: flag(1, 0x80),
  continues: flag(1, 0x40),
  currentStage: bits(1, 0x0c),
  nextStage: bits(1, 0x03),
  versionMax: u8(2),
  isid: bytes(8, 6),
  tsih: u16(14),
  initiatorTaskTag,
}

/**
 * The basic header segments of RFC 7143, section 11: each field's offset in the 48 bytes, big endian. All have the
 * opcode in byte 0, TotalAHSLength (in words) in byte 4 and DataSegmentLength in bytes 5 to 7. Bits that are always
 * set (F where nothing can follow) are not listed.
 */
export const layouts = {
  /** 11.3 */
  scsiCommand: {
    immediate,
    final,
    read: flag(1, 0x40),
    write: flag(1, 0x20),
    attribute: bits(1, 0x07),
    lun,
    initiatorTaskTag,
    expectedDataTransferLength: u32(20),
    ...request,
    cdb: bytes(32, 16),
  },
  /** 11.4 */
  scsiResponse: {
    bidiOverflow: flag(1, 0x10),
    bidiUnderflow: flag(1, 0x08),
    overflow: flag(1, 0x04),
    underflow: flag(1, 0x02),
    response: u8(2),
    status: u8(3),
    initiatorTaskTag,
    snackTag: u32(20),
    ...answer,
    expDataSn: u32(36),
    bidiResidualCount: u32(40),
    residualCount: u32(44),
  },
  /** 11.5 */
  taskManagementRequest: {
    immediate,
    taskFunction: bits(1, 0x7f),
    lun,
    initiatorTaskTag,
    referencedTaskTag: u32(20),
    ...request,
    refCmdSn: u32(32),
    expDataSn: u32(36),
  },
  /** 11.6 */
  taskManagementResponse: { response: u8(2), initiatorTaskTag, ...answer },
  /** 11.7.1; no ExpCmdSN of its own, and no CmdSN. */
  dataOut: {
    final,
    lun,
    initiatorTaskTag,
    targetTransferTag,
    expStatSn: u32(28),
    dataSn: u32(36),
    bufferOffset: u32(40),
  },
  /** 11.7; status, StatSN and residual count mean something with the S bit only. */
  dataIn: {
    final,
    acknowledge: flag(1, 0x40),
    overflow: flag(1, 0x04),
    underflow: flag(1, 0x02),
    hasStatus: flag(1, 0x01),
    status: u8(3),
    lun,
    initiatorTaskTag,
    targetTransferTag,
    ...answer,
    dataSn: u32(36),
    bufferOffset: u32(40),
    residualCount: u32(44),
  },
  /** 11.8 */
  readyToTransfer: {
    lun,
    initiatorTaskTag,
    targetTransferTag,
    ...answer,
    r2tSn: u32(36),
    bufferOffset: u32(40),
    desiredDataTransferLength: u32(44),
  },
  /** 11.9 */
  asyncMessage: {
    lun,
    initiatorTaskTag,
    ...answer,
    event: u8(36),
    vendorCode: u8(37),
    parameter1: u16(38),
    parameter2: u16(40),
    parameter3: u16(42),
  },
  /** 11.10 */
  textRequest: {
    immediate,
    final,
    continues: flag(1, 0x40),
    lun,
    initiatorTaskTag,
    targetTransferTag,
    ...request,
  },
  /** 11.11 */
  textResponse: { final, continues: flag(1, 0x40), lun, initiatorTaskTag, targetTransferTag, ...answer },
  /** 11.12; always immediate. */
  loginRequest: { ...login, versionMin: u8(3), cid: u16(20), ...request },
  /** 11.13 */
  loginResponse: { ...login, versionActive: u8(3), ...answer, status: u16(36) },
  /** 11.14 */
  logoutRequest: {
    immediate,
    reason: bits(1, 0x7f),
    initiatorTaskTag,
    cid: u16(20),
    ...request,
  },
  /** 11.15 */
  logoutResponse: {
    response: u8(2),
    initiatorTaskTag,
    ...answer,
    time2Wait: u16(40),
    time2Retain: u16(42),
  },
  /** 11.16 */
  snackRequest: {
    type: bits(1, 0x0f),
    lun,
    initiatorTaskTag,
    targetTransferTag,
    expStatSn: u32(28),
    begRun: u32(40),
    runLength: u32(44),
  },
  /** 11.17; the header that was rejected is in the data segment. */
  reject: { reason: u8(2), initiatorTaskTag, ...answer, dataSn: u32(36) },
  /** 11.18 */
  nopOut: { immediate, lun, initiatorTaskTag, targetTransferTag, ...request },
  /** 11.19 */
  nopIn: { lun, initiatorTaskTag, targetTransferTag, ...answer },
} satisfies Record<keyof typeof opcode, Layout>

export type PduKind = keyof typeof layouts

export type Pdu<K extends PduKind> = Header<(typeof layouts)[K]>

export type AnyPdu = { readonly [K in PduKind]: { readonly kind: K } & Pdu<K> }[PduKind]

/** Kinds whose task tags mean "none" unless they are given. */
const noTags: Partial<Record<PduKind, Readonly<Record<string, number>>>> = {
  asyncMessage: { initiatorTaskTag: reservedTag },
  reject: { initiatorTaskTag: reservedTag },
  textRequest: { targetTransferTag: reservedTag },
  textResponse: { targetTransferTag: reservedTag },
  dataIn: { targetTransferTag: reservedTag },
  dataOut: { targetTransferTag: reservedTag },
  nopOut: { initiatorTaskTag: reservedTag, targetTransferTag: reservedTag },
  nopIn: { initiatorTaskTag: reservedTag, targetTransferTag: reservedTag },
}

/** Bits of byte 1 (of byte 0 in a Login Request) that are always set and carry nothing. */
const alwaysFinal: ReadonlySet<PduKind> = new Set([
  'scsiResponse',
  'taskManagementRequest',
  'taskManagementResponse',
  'readyToTransfer',
  'asyncMessage',
  'logoutRequest',
  'logoutResponse',
  'snackRequest',
  'reject',
  'nopOut',
  'nopIn',
])

/** A header of 48 bytes for {@link framePdu}; what is left out is zero, task tags of PDUs that need none are "none". */
export function encodePdu<K extends PduKind>(kind: K, fields: Partial<Pdu<K>>): Buffer<ArrayBuffer> {
  const header = encodeHeader(opcode[kind], layouts[kind] as Layout, { ...noTags[kind], ...fields })
  if (kind === 'loginRequest') header[0] = opcode.loginRequest | bit.immediate
  if (alwaysFinal.has(kind)) header[at.flags] = (header[at.flags] ?? 0) | bit.final
  return header
}

const kinds = new Map(Object.entries(opcode).map(([kind, code]) => [code as number, kind as PduKind]))

/** undefined: RFC 7143 knows no such opcode. */
export const kindOf = (header: Uint8Array): PduKind | undefined => kinds.get((header[0] ?? 0) & opcodeMask)

/** Any header by its opcode. Throws device-rejected when bytes are missing or the opcode is unknown. */
export function decodePdu(header: Uint8Array): AnyPdu {
  if (header.length < bhsBytes) throw malformed('header', 0, `${bhsBytes} bytes`, header.length)
  const kind = kindOf(header)
  if (kind === undefined)
    throw malformed('opcode', 0, 'one of RFC 7143', `0x${((header[0] ?? 0) & opcodeMask).toString(16)}`)
  return { kind, ...decodePduOf(kind, header) } as AnyPdu
}

/** Throws device-rejected when bytes are missing or the opcode is another. */
export const decodePduOf = <K extends PduKind>(kind: K, header: Uint8Array): Pdu<K> =>
  decodeHeader(opcode[kind], layouts[kind] as Layout, header) as Pdu<K>
