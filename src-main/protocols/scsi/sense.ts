import { exact, malformed, put, putExact, slice, u16, u32, u8 } from './fields.ts'

/** SPC-4, table 44. */
export const senseKey = {
  noSense: 0x0,
  recoveredError: 0x1,
  notReady: 0x2,
  mediumError: 0x3,
  hardwareError: 0x4,
  illegalRequest: 0x5,
  unitAttention: 0x6,
  dataProtect: 0x7,
  blankCheck: 0x8,
  copyAborted: 0xa,
  abortedCommand: 0xb,
  volumeOverflow: 0xd,
  miscompare: 0xe,
} as const

export interface Sense {
  readonly key: number
  /** Additional sense code and its qualifier. */
  readonly asc: number
  readonly ascq: number
  /** Of an earlier command. */
  readonly isDeferred?: boolean
  /** An LBA or the offset of a miscompare, by command; below 2^32 in the fixed format. */
  readonly information?: bigint
  readonly commandSpecific?: bigint
  /** Which field of CDB or parameter list was refused. */
  readonly field?: { readonly isCdb: boolean; readonly byte: number; readonly bit?: number }
}

/** Those that both sides know by name. */
export const senses = {
  none: { key: 0x0, asc: 0x00, ascq: 0x00 },
  notReadyManualIntervention: { key: 0x2, asc: 0x04, ascq: 0x03 },
  unrecoveredReadError: { key: 0x3, asc: 0x11, ascq: 0x00 },
  writeError: { key: 0x3, asc: 0x0c, ascq: 0x00 },
  internalTargetFailure: { key: 0x4, asc: 0x44, ascq: 0x00 },
  parameterListLength: { key: 0x5, asc: 0x1a, ascq: 0x00 },
  invalidOpcode: { key: 0x5, asc: 0x20, ascq: 0x00 },
  lbaOutOfRange: { key: 0x5, asc: 0x21, ascq: 0x00 },
  invalidFieldInCdb: { key: 0x5, asc: 0x24, ascq: 0x00 },
  lunNotSupported: { key: 0x5, asc: 0x25, ascq: 0x00 },
  invalidFieldInParameters: { key: 0x5, asc: 0x26, ascq: 0x00 },
  parameterNotSupported: { key: 0x5, asc: 0x26, ascq: 0x01 },
  tooManyTargetDescriptors: { key: 0x5, asc: 0x26, ascq: 0x06 },
  unsupportedTargetDescriptor: { key: 0x5, asc: 0x26, ascq: 0x07 },
  tooManySegmentDescriptors: { key: 0x5, asc: 0x26, ascq: 0x08 },
  unsupportedSegmentDescriptor: { key: 0x5, asc: 0x26, ascq: 0x09 },
  invalidRelease: { key: 0x5, asc: 0x26, ascq: 0x04 },
  insufficientRegistrations: { key: 0x5, asc: 0x55, ascq: 0x04 },
  poweredOnOrReset: { key: 0x6, asc: 0x29, ascq: 0x00 },
  logicalUnitReset: { key: 0x6, asc: 0x29, ascq: 0x03 },
  nexusLoss: { key: 0x6, asc: 0x29, ascq: 0x07 },
  modeParametersChanged: { key: 0x6, asc: 0x2a, ascq: 0x01 },
  reservationsPreempted: { key: 0x6, asc: 0x2a, ascq: 0x03 },
  reservationsReleased: { key: 0x6, asc: 0x2a, ascq: 0x04 },
  registrationsPreempted: { key: 0x6, asc: 0x2a, ascq: 0x05 },
  capacityChanged: { key: 0x6, asc: 0x2a, ascq: 0x09 },
  commandsClearedByOther: { key: 0x6, asc: 0x2f, ascq: 0x00 },
  mediumChanged: { key: 0x6, asc: 0x28, ascq: 0x00 },
  luns: { key: 0x6, asc: 0x3f, ascq: 0x0e },
  writeProtected: { key: 0x7, asc: 0x27, ascq: 0x00 },
  softwareWriteProtected: { key: 0x7, asc: 0x27, ascq: 0x02 },
  /** Thin provisioning: the volume is full. The host may stop its VM and go on when there is room. */
  spaceAllocationFailed: { key: 0x7, asc: 0x27, ascq: 0x07 },
  copyTargetNotReachable: { key: 0xa, asc: 0x0d, ascq: 0x02 },
  commandAborted: { key: 0xb, asc: 0x00, ascq: 0x00 },
  dataPhaseError: { key: 0xb, asc: 0x4b, ascq: 0x00 },
  miscompare: { key: 0xe, asc: 0x1d, ascq: 0x00 },
} as const satisfies Record<string, Sense>

export const isSense = (sense: Sense, known: Sense): boolean =>
  sense.key === known.key && sense.asc === known.asc && sense.ascq === known.ascq

/** "5h 24h/00h invalidFieldInCdb"; the name where it is one of {@link senses}. */
export function formatSense(sense: Sense): string {
  const hex = (value: number): string => `${value.toString(16).padStart(2, '0')}h`
  const name = Object.entries(senses).find(([, known]) => isSense(sense, known))?.[0]
  const code = `${sense.key.toString(16)}h ${hex(sense.asc)}/${hex(sense.ascq)}`
  return name === undefined ? code : `${code} ${name}`
}

/**
 * Fixed format, SPC-4, 4.5.3: 18 bytes.
 *
 *     0   1  70h current, 71h deferred; bit 7: information is valid     12  1  ASC
 *     2   1  sense key                                                  13  1  ASCQ
 *     3   4  information                                                15  3  bit 7: field pointer is valid, bit 6: in the
 *     7   1  bytes that follow                                                 CDB, bit 3: bits 0..2 are a bit, 2 bytes of it
 *     8   4  command-specific information
 */
export function encodeFixedSense(sense: Sense): Uint8Array {
  const bytes = new Uint8Array(18)
  const { information, commandSpecific } = sense
  bytes[0] = sense.isDeferred === true ? 0x71 : 0x70
  bytes[2] = sense.key
  if (information !== undefined && information < 0x1_0000_0000n) {
    bytes[0] |= 0x80
    put(bytes, 3, 4, Number(information))
  }
  bytes[7] = 10
  if (commandSpecific !== undefined && commandSpecific < 0x1_0000_0000n)
    put(bytes, 8, 4, Number(commandSpecific))
  bytes[12] = sense.asc
  bytes[13] = sense.ascq
  putFieldPointer(bytes, 15, sense.field)
  return bytes
}

/**
 * Descriptor format, SPC-4, 4.5.2.
 *
 *     0  1  72h current, 73h deferred      2  1  ASC       7  1  bytes that follow
 *     1  1  sense key                      3  1  ASCQ      8  n  descriptors: type, length, ...
 *
 * Descriptors: 0 information (valid bit in byte 2, 8 bytes at 4), 1 command-specific (8 bytes at 4), 2 field pointer (at 4).
 */
export function encodeDescriptorSense(sense: Sense): Uint8Array {
  const { information, commandSpecific, field } = sense
  const descriptors: Uint8Array[] = []
  if (information !== undefined) descriptors.push(wideDescriptor(0, 0x80, information))
  if (commandSpecific !== undefined) descriptors.push(wideDescriptor(1, 0, commandSpecific))
  if (field !== undefined) {
    const descriptor = new Uint8Array(8)
    descriptor.set([2, 6])
    putFieldPointer(descriptor, 4, field)
    descriptors.push(descriptor)
  }
  const follow = descriptors.reduce((sum, { length }) => sum + length, 0)
  const bytes = new Uint8Array(8 + follow)
  bytes.set([sense.isDeferred === true ? 0x73 : 0x72, sense.key, sense.asc, sense.ascq, 0, 0, 0, follow])
  let at = 8
  for (const descriptor of descriptors) {
    bytes.set(descriptor, at)
    at += descriptor.length
  }
  return bytes
}

function wideDescriptor(type: number, flags: number, value: bigint): Uint8Array {
  const bytes = new Uint8Array(12)
  bytes.set([type, 10, flags])
  putExact(bytes, 4, value)
  return bytes
}

function putFieldPointer(bytes: Uint8Array, at: number, field: Sense['field']): void {
  if (field === undefined) return
  bytes[at] = 0x80 | (field.isCdb ? 0x40 : 0) | (field.bit === undefined ? 0 : 0x08 | (field.bit & 7))
  put(bytes, at + 1, 2, field.byte)
}

function fieldPointer(bytes: Uint8Array, at: number, key: number): Pick<Sense, 'field'> {
  const flags = u8(bytes, at)
  if ((flags & 0x80) === 0 || key !== senseKey.illegalRequest) return {}
  return {
    field: {
      isCdb: (flags & 0x40) !== 0,
      byte: u16(bytes, at + 1),
      ...((flags & 0x08) === 0 ? {} : { bit: flags & 7 }),
    },
  }
}

/** Either format. Sense data that is shorter than its header says is read as far as it goes. Throws device-rejected. */
export function decodeSense(bytes: Uint8Array): Sense {
  const format = u8(slice(bytes, 'sense data', 0, 1), 0) & 0x7f
  if (format === 0x70 || format === 0x71) return decodeFixed(bytes, format === 0x71)
  if (format === 0x72 || format === 0x73) return decodeDescriptors(bytes, format === 0x73)
  throw malformed('response code of the sense data', 0, '70h to 73h', `${format.toString(16)}h`)
}

function decodeFixed(bytes: Uint8Array, isDeferred: boolean): Sense {
  slice(bytes, 'fixed sense data', 0, 8)
  const end = Math.min(bytes.length, 8 + u8(bytes, 7))
  const key = u8(bytes, 2) & 0xf
  return {
    key,
    asc: end > 12 ? u8(bytes, 12) : 0,
    ascq: end > 13 ? u8(bytes, 13) : 0,
    ...(isDeferred ? { isDeferred } : {}),
    ...((u8(bytes, 0) & 0x80) === 0 ? {} : { information: BigInt(u32(bytes, 3)) }),
    ...(end >= 12 && u32(bytes, 8) > 0 ? { commandSpecific: BigInt(u32(bytes, 8)) } : {}),
    ...(end >= 18 ? fieldPointer(bytes, 15, key) : {}),
  }
}

function decodeDescriptors(bytes: Uint8Array, isDeferred: boolean): Sense {
  slice(bytes, 'descriptor sense data', 0, 4)
  const key = u8(bytes, 1) & 0xf
  let found: Partial<Sense> = {}
  const end = bytes.length < 8 ? 0 : Math.min(bytes.length, 8 + u8(bytes, 7))
  for (let at = 8; at + 2 <= end; at += 2 + u8(bytes, at + 1)) {
    const length = 2 + u8(bytes, at + 1)
    if (at + length > end) break
    const type = u8(bytes, at)
    if (type === 0 && length >= 12 && (u8(bytes, at + 2) & 0x80) !== 0)
      found = { ...found, information: exact(bytes, at + 4) }
    else if (type === 1 && length >= 12) found = { ...found, commandSpecific: exact(bytes, at + 4) }
    else if (type === 2 && length >= 8) found = { ...found, ...fieldPointer(bytes, at + 4, key) }
  }
  return { key, asc: u8(bytes, 2), ascq: u8(bytes, 3), ...(isDeferred ? { isDeferred } : {}), ...found }
}
