/** Where a field stands in a CDB. `zeroMeans`: what the value 0 stands for (READ(6): 256 blocks). */
export interface CdbField {
  readonly name: string
  readonly byte: number
  /** 1 to 8 whole bytes, of which the first counts only with the bits of `mask`. */
  readonly bytes: number
  readonly mask: number
  readonly isFlag: boolean
  readonly zeroMeans?: number
}

export interface CdbLayout {
  readonly kind: string
  readonly opcode: number
  readonly serviceAction?: number
  readonly length: 6 | 10 | 12 | 16
  readonly fields: readonly CdbField[]
}

const uint = (name: string, byte: number, bytes: number, mask = 0xff): CdbField => ({
  name,
  byte,
  bytes,
  mask,
  isFlag: false,
})
const flag = (name: string, byte: number, bit: number): CdbField => ({
  name,
  byte,
  bytes: 1,
  mask: 1 << bit,
  isFlag: true,
})

/** Normal ACA, in the control byte. */
const naca = (length: number): CdbField => flag('naca', length - 1, 2)
const group = (byte: number): CdbField => uint('group', byte, 1, 0x1f)

function layout(
  kind: string,
  opcode: number,
  length: 6 | 10 | 12 | 16,
  ...fields: readonly CdbField[]
): CdbLayout {
  return { kind, opcode, length, fields: [...fields, naca(length)] }
}

function action(
  kind: string,
  opcode: number,
  serviceAction: number,
  length: 10 | 12 | 16,
  ...fields: readonly CdbField[]
): CdbLayout {
  return { ...layout(kind, opcode, length, ...fields), serviceAction }
}

/** LBA and number of blocks, as nearly all CDBs of 10, 12 and 16 bytes have them (SPC-4, 4.2.2). */
const extent = (length: 10 | 12 | 16): CdbField[] =>
  length === 10
    ? [uint('lba', 2, 4), uint('blocks', 7, 2), group(6)]
    : length === 12
      ? [uint('lba', 2, 4), uint('blocks', 6, 4), group(10)]
      : [uint('lba', 2, 8), uint('blocks', 10, 4), group(14)]

const protect = uint('protect', 1, 1, 0xe0)
const dpo = flag('dpo', 1, 4)
const fua = flag('fua', 1, 3)
const byteCheck = uint('byteCheck', 1, 1, 0x06)
const immediate = flag('immediate', 1, 1)
const unmap = flag('unmap', 1, 3)
const anchor = flag('anchor', 1, 4)

const extent6 = [uint('lba', 1, 3, 0x1f), { ...uint('blocks', 4, 1), zeroMeans: 256 }]
const modeSense = [
  flag('noBlockDescriptors', 1, 3),
  uint('pageControl', 2, 1, 0xc0),
  uint('page', 2, 1, 0x3f),
  uint('subpage', 3, 1),
]
const modeSelect = [flag('pageFormat', 1, 4), flag('savePages', 1, 0)]

/** SPC-4 chapter 6 and SBC-3 chapter 5; the order is that of the opcodes. */
export const cdbLayouts: readonly CdbLayout[] = [
  layout('test-unit-ready', 0x00, 6),
  layout('request-sense', 0x03, 6, flag('descriptorFormat', 1, 0), uint('allocationLength', 4, 1)),
  layout('read', 0x08, 6, ...extent6),
  layout('write', 0x0a, 6, ...extent6),
  layout('inquiry', 0x12, 6, flag('evpd', 1, 0), uint('page', 2, 1), uint('allocationLength', 3, 2)),
  layout('mode-select', 0x15, 6, ...modeSelect, uint('parameterLength', 4, 1)),
  layout('reserve', 0x16, 6),
  layout('release', 0x17, 6),
  layout('mode-sense', 0x1a, 6, ...modeSense, uint('allocationLength', 4, 1)),
  layout(
    'start-stop-unit',
    0x1b,
    6,
    flag('immediate', 1, 0),
    uint('powerCondition', 4, 1, 0xf0),
    flag('noFlush', 4, 2),
    flag('loadEject', 4, 1),
    flag('start', 4, 0),
  ),
  layout(
    'send-diagnostic',
    0x1d,
    6,
    uint('selfTestCode', 1, 1, 0xe0),
    flag('selfTest', 1, 2),
    uint('parameterLength', 3, 2),
  ),
  layout('prevent-allow-removal', 0x1e, 6, uint('prevent', 4, 1, 0x03)),
  layout('read-capacity', 0x25, 10, uint('lba', 2, 4), flag('partial', 8, 0)),
  layout('read', 0x28, 10, protect, dpo, fua, ...extent(10)),
  layout('write', 0x2a, 10, protect, dpo, fua, ...extent(10)),
  layout('write-and-verify', 0x2e, 10, protect, dpo, byteCheck, ...extent(10)),
  layout('verify', 0x2f, 10, protect, dpo, byteCheck, ...extent(10)),
  layout('prefetch', 0x34, 10, immediate, ...extent(10)),
  layout('synchronize-cache', 0x35, 10, immediate, ...extent(10)),
  layout(
    'read-defect-data',
    0x37,
    10,
    flag('primary', 2, 4),
    flag('grown', 2, 3),
    uint('format', 2, 1, 0x07),
    uint('allocationLength', 7, 2),
  ),
  layout('write-same', 0x41, 10, protect, anchor, unmap, ...extent(10)),
  layout('unmap', 0x42, 10, flag('anchor', 1, 0), group(6), uint('parameterLength', 7, 2)),
  layout('mode-select', 0x55, 10, ...modeSelect, uint('parameterLength', 7, 2)),
  layout('reserve', 0x56, 10, uint('parameterLength', 7, 2)),
  layout('release', 0x57, 10, uint('parameterLength', 7, 2)),
  layout('mode-sense', 0x5a, 10, flag('longLba', 1, 4), ...modeSense, uint('allocationLength', 7, 2)),
  ...[0, 1, 2, 3].map((code) =>
    action('persistent-reserve-in', 0x5e, code, 10, uint('allocationLength', 7, 2)),
  ),
  ...[0, 1, 2, 3, 4, 5, 6, 7].map((code) =>
    action(
      'persistent-reserve-out',
      0x5f,
      code,
      10,
      uint('scope', 2, 1, 0xf0),
      uint('type', 2, 1, 0x0f),
      uint('parameterLength', 5, 4),
    ),
  ),
  action('extended-copy', 0x83, 0x00, 16, uint('parameterLength', 10, 4)),
  ...[0, 1, 3, 4].map((code) =>
    action('receive-copy-results', 0x84, code, 16, uint('listId', 2, 1), uint('allocationLength', 10, 4)),
  ),
  layout('read', 0x88, 16, protect, dpo, fua, ...extent(16)),
  layout(
    'compare-and-write',
    0x89,
    16,
    protect,
    dpo,
    fua,
    uint('lba', 2, 8),
    uint('blocks', 13, 1),
    group(14),
  ),
  layout('write', 0x8a, 16, protect, dpo, fua, ...extent(16)),
  layout('or-write', 0x8b, 16, protect, dpo, fua, ...extent(16)),
  layout('write-and-verify', 0x8e, 16, protect, dpo, byteCheck, ...extent(16)),
  layout('verify', 0x8f, 16, protect, dpo, byteCheck, ...extent(16)),
  layout('prefetch', 0x90, 16, immediate, ...extent(16)),
  layout('synchronize-cache', 0x91, 16, immediate, ...extent(16)),
  layout('write-same', 0x93, 16, protect, anchor, unmap, flag('noDataOut', 1, 0), ...extent(16)),
  action(
    'read-capacity',
    0x9e,
    0x10,
    16,
    uint('lba', 2, 8),
    uint('allocationLength', 10, 4),
    flag('partial', 14, 0),
  ),
  action('get-lba-status', 0x9e, 0x12, 16, uint('lba', 2, 8), uint('allocationLength', 10, 4)),
  layout('report-luns', 0xa0, 12, uint('select', 2, 1), uint('allocationLength', 6, 4)),
  action(
    'report-supported-opcodes',
    0xa3,
    0x0c,
    12,
    flag('timeouts', 2, 7),
    uint('reporting', 2, 1, 0x07),
    uint('requestedOpcode', 3, 1),
    uint('requestedServiceAction', 4, 2),
    uint('allocationLength', 6, 4),
  ),
  action(
    'report-supported-task-management',
    0xa3,
    0x0d,
    12,
    flag('extended', 2, 7),
    uint('allocationLength', 6, 4),
  ),
  layout('read', 0xa8, 12, protect, dpo, fua, ...extent(12)),
  layout('write', 0xaa, 12, protect, dpo, fua, ...extent(12)),
  layout('write-and-verify', 0xae, 12, protect, dpo, byteCheck, ...extent(12)),
  layout('verify', 0xaf, 12, protect, dpo, byteCheck, ...extent(12)),
  layout(
    'read-defect-data',
    0xb7,
    12,
    flag('primary', 1, 4),
    flag('grown', 1, 3),
    uint('format', 1, 1, 0x07),
    uint('allocationLength', 6, 4),
  ),
]

/**
 * Which bits of its CDB a command looks at, as REPORT SUPPORTED OPERATION CODES tells (SPC-4, 6.35.3): the opcode and
 * the service action as they are, ones elsewhere.
 */
export function cdbUsage({ opcode, serviceAction, length, fields }: CdbLayout): Uint8Array {
  const usage = new Uint8Array(length)
  for (const { byte, bytes, mask } of fields)
    for (let index = 0; index < bytes; index++)
      usage[byte + index] = (usage[byte + index] ?? 0) | (index === 0 ? mask : 0xff)
  usage[0] = opcode
  if (serviceAction !== undefined) usage[1] = (usage[1] ?? 0) | serviceAction
  return usage
}
