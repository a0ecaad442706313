import {
  encodeCapacity10,
  encodeCapacity16,
  decodeCapacity10,
  decodeCapacity16,
} from '#main/protocols/scsi/capacity.ts'
import { decodeCdb, encodeCdb } from '#main/protocols/scsi/cdb.ts'
import {
  decodeIdentification,
  encodeIdentification,
  formatDesignator,
  naaDesignator,
  nameDesignator,
  portGroupDesignator,
  relativePortDesignator,
  t10Designator,
} from '#main/protocols/scsi/designators.ts'
import {
  decodeCopyLimits,
  decodeCopyRequest,
  decodeCopyStatus,
  encodeCopyLimits,
  encodeCopyRequest,
  encodeCopyStatus,
} from '#main/protocols/scsi/extended-copy.ts'
import { decodeInquiry, encodeInquiry } from '#main/protocols/scsi/inquiry.ts'
import { decodeReportLuns, encodeReportLuns } from '#main/protocols/scsi/luns.ts'
import {
  decodeModeData,
  encodeCachingPage,
  encodeControlPage,
  encodeModeData,
} from '#main/protocols/scsi/mode.ts'
import {
  decodeLbaStatus,
  decodeUnmapList,
  encodeLbaStatus,
  encodeUnmapList,
} from '#main/protocols/scsi/provisioning.ts'
import {
  decodeFullStatus,
  decodeMoveParameters,
  decodeReadKeys,
  decodeReadReservation,
  decodeReserveCapabilities,
  decodeReserveParameters,
  encodeFullStatus,
  encodeMoveParameters,
  encodeReadKeys,
  encodeReadReservation,
  encodeReserveCapabilities,
  encodeReserveParameters,
  reservationType,
} from '#main/protocols/scsi/reservations.ts'
import { decodeSense, encodeDescriptorSense, encodeFixedSense } from '#main/protocols/scsi/sense.ts'
import {
  decodeOneOpcode,
  decodeSupportedOpcodes,
  encodeOneOpcode,
  encodeSupportedOpcodes,
} from '#main/protocols/scsi/supported-opcodes.ts'
import {
  decodeBlockCharacteristics,
  decodeBlockLimits,
  decodeProvisioning,
  decodeSerial,
  decodeSupportedPages,
  encodeBlockCharacteristics,
  encodeBlockLimits,
  encodeProvisioning,
  encodeSerial,
  encodeSupportedPages,
} from '#main/protocols/scsi/vpd.ts'

/** A value, its bytes, and what the bytes decode to: the value again. */
export interface ScsiSample {
  readonly name: string
  readonly value: unknown
  readonly bytes: Uint8Array
  readonly decode: (bytes: Uint8Array) => unknown
}

function sample<T>(
  name: string,
  value: T,
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => unknown,
): ScsiSample {
  return { name, value, bytes: encode(value), decode }
}

const initiator = { name: 'iqn.2026-11.lab.host:esx1' }
const session = { ...initiator, isid: '00023d000001' }
const sense = {
  key: 5,
  asc: 0x24,
  ascq: 0,
  information: 0x01020304n,
  commandSpecific: 7n,
  field: { isCdb: true, byte: 2, bit: 6 },
}

export const scsiSamples: readonly ScsiSample[] = [
  sample('fixed sense data', sense, encodeFixedSense, decodeSense),
  sample(
    'deferred fixed sense data',
    { key: 3, asc: 0x11, ascq: 0, isDeferred: true },
    encodeFixedSense,
    decodeSense,
  ),
  sample(
    'descriptor sense data',
    { ...sense, information: 0x0102030405060708n },
    encodeDescriptorSense,
    decodeSense,
  ),
  sample(
    'INQUIRY',
    {
      qualifier: 0,
      deviceType: 0,
      isRemovable: false,
      version: 6,
      tpgs: 1,
      hasThirdPartyCopy: true,
      hasCommandQueue: true,
      vendor: 'GANTRY',
      product: 'CONTAINER',
      revision: '1',
      versionDescriptors: [0x0960, 0x0460, 0x04c0],
    },
    encodeInquiry,
    decodeInquiry,
  ),
  sample('VPD 00h', [0, 0x80, 0x83, 0xb0, 0xb1, 0xb2], encodeSupportedPages, decodeSupportedPages),
  sample('VPD 80h', '0123456789abcdef01234567', encodeSerial, decodeSerial),
  sample(
    'VPD 83h',
    [
      naaDesignator('60267610123456789abcdef012345670'),
      t10Designator('GANTRY', '0123456789abcdef'),
      nameDesignator('device', 'iqn.2026-11.gantry.array:web'),
      relativePortDesignator(1),
      portGroupDesignator(1),
    ],
    encodeIdentification,
    decodeIdentification,
  ),
  sample(
    'VPD B0h',
    {
      refusesWriteSameToEnd: true,
      maxCompareAndWriteBlocks: 255,
      optimalTransferGranularity: 8,
      maxTransferBlocks: 32768,
      optimalTransferBlocks: 2048,
      maxUnmapBlocks: 0xffffffff,
      maxUnmapDescriptors: 256,
      optimalUnmapGranularity: 8,
      unmapAlignment: 4,
      maxWriteSameBlocks: 0x1_0000_0000,
    },
    encodeBlockLimits,
    decodeBlockLimits,
  ),
  sample(
    'VPD B1h',
    { rotationRate: 1, formFactor: 3 },
    encodeBlockCharacteristics,
    decodeBlockCharacteristics,
  ),
  sample(
    'VPD B2h',
    { hasUnmap: true, hasWriteSame16Unmap: true, hasWriteSame10Unmap: false, readsZeros: true, type: 2 },
    encodeProvisioning,
    decodeProvisioning,
  ),
  sample(
    'LUN list',
    { luns: [0, 1, 255, 256, 16_383], total: 5 },
    ({ luns }) => encodeReportLuns(luns),
    decodeReportLuns,
  ),
  {
    name: 'capacity (10)',
    value: { blocks: 204_800, blockBytes: 512 },
    bytes: encodeCapacity10({
      blocks: 204_800,
      blockBytes: 512,
      physicalExponent: 3,
      lowestAligned: 0,
      isThin: true,
      readsZeros: true,
    }),
    decode: decodeCapacity10,
  },
  sample(
    'capacity (16)',
    {
      blocks: 2 ** 40,
      blockBytes: 512,
      physicalExponent: 3,
      lowestAligned: 5,
      isThin: true,
      readsZeros: true,
    },
    encodeCapacity16,
    decodeCapacity16,
  ),
  ...([6, 10] as const).map((length) =>
    sample(
      `mode data (${length})`,
      {
        mediumType: 0,
        isWriteProtected: true,
        hasDpoFua: true,
        hasLongBlockDescriptors: false,
        blockDescriptors: Uint8Array.of(0, 0, 0, 1, 0, 0, 2, 0),
        pages: [
          encodeCachingPage({ hasWriteCache: true, isReadCacheOff: false }),
          encodeControlPage({
            hasDescriptorSense: true,
            isWriteProtected: true,
            hasTaskAbortedStatus: true,
            queueAlgorithm: 1,
            unitAttentionInterlock: 0,
          }),
          { page: 0x0a, subpage: 5, canBeSaved: true, body: new Uint8Array(28) },
        ],
      },
      (data) => encodeModeData(length, data),
      (bytes) => decodeModeData(length, bytes),
    ),
  ),
  sample(
    'UNMAP list',
    [
      { lba: 0, blocks: 8 },
      { lba: 2 ** 40, blocks: 0xffffffff },
    ],
    encodeUnmapList,
    decodeUnmapList,
  ),
  sample(
    'LBA status',
    [
      { lba: 0, blocks: 8, state: 'mapped' as const },
      { lba: 8, blocks: 2 ** 31, state: 'deallocated' as const },
      { lba: 2 ** 40, blocks: 1, state: 'anchored' as const },
    ],
    encodeLbaStatus,
    decodeLbaStatus,
  ),
  sample(
    'READ KEYS',
    { generation: 7, keys: [1n, 0xffff_ffff_ffff_ffffn], total: 2 },
    ({ generation, keys }) => encodeReadKeys(generation, keys),
    decodeReadKeys,
  ),
  sample(
    'READ RESERVATION',
    { generation: 7, reservation: { key: 0x1122334455667788n, type: reservationType.writeExclusive } },
    ({ generation, reservation }) => encodeReadReservation(generation, reservation),
    decodeReadReservation,
  ),
  sample(
    'REPORT CAPABILITIES',
    { canPersist: true, isPersistent: true, types: Object.values(reservationType) },
    encodeReserveCapabilities,
    decodeReserveCapabilities,
  ),
  sample(
    'READ FULL STATUS',
    {
      generation: 9,
      registrants: [
        { key: 1n, type: reservationType.exclusiveAccess, relativePort: 1, transport: session },
        { key: 2n, relativePort: 1, transport: initiator },
      ],
    },
    ({ generation, registrants }) => encodeFullStatus(generation, registrants),
    decodeFullStatus,
  ),
  sample(
    'PERSISTENT RESERVE OUT parameters',
    { key: 1n, actionKey: 2n, initiators: [initiator, session], allPorts: true, persist: true },
    encodeReserveParameters,
    decodeReserveParameters,
  ),
  sample(
    'REGISTER AND MOVE parameters',
    { key: 1n, actionKey: 2n, unregister: true, persist: false, relativePort: 1, transport: session },
    encodeMoveParameters,
    decodeMoveParameters,
  ),
  sample(
    'supported opcodes',
    [
      { opcode: 0x28, cdbLength: 10 },
      { opcode: 0x9e, serviceAction: 0x10, cdbLength: 16 },
    ],
    (opcodes) => encodeSupportedOpcodes(opcodes, true),
    decodeSupportedOpcodes,
  ),
  sample(
    'one opcode',
    Uint8Array.of(0x28, 0xfa, 255, 255, 255, 255, 0x1f, 255, 255, 4),
    encodeOneOpcode,
    decodeOneOpcode,
  ),
  sample(
    'EXTENDED COPY list',
    {
      listId: 3,
      targets: [
        {
          type: 0xe4,
          isNull: false,
          association: 0,
          designatorType: 3,
          designator: new Uint8Array(16).fill(0x60),
          blockBytes: 512,
        },
      ],
      segments: [{ type: 2, source: 0, destination: 0, blocks: 2048, sourceLba: 5, destinationLba: 2 ** 40 }],
    },
    encodeCopyRequest,
    decodeCopyRequest,
  ),
  sample(
    'copy limits',
    { maxTargets: 2, maxSegments: 64, maxListBytes: 1856, maxSegmentBytes: 0x1fffe00 },
    encodeCopyLimits,
    decodeCopyLimits,
  ),
  sample('copy status', { hasFailed: true, segments: 7 }, encodeCopyStatus, decodeCopyStatus),
  {
    name: 'CDB',
    value: decodeCdb(encodeCdb({ kind: 'read', length: 16, lba: 5, blocks: 6 })),
    bytes: encodeCdb({ kind: 'read', length: 16, lba: 5, blocks: 6 }),
    decode: decodeCdb,
  },
]

export const formatAll = (bytes: Uint8Array): string[] => decodeIdentification(bytes).map(formatDesignator)
