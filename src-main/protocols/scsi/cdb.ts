import { AppError } from '#shared/errors/app-error.ts'
import { cdbLayouts } from './cdb-layouts.ts'
import type { CdbField, CdbLayout } from './cdb-layouts.ts'
import { put, u8 } from './fields.ts'

/** Length of the CDB in bytes where a command comes in several. Fields that a shorter one lacks are not sent. */
interface Sized<Length extends number> {
  readonly length: Length
}
interface Extent {
  readonly lba: number
  readonly blocks: number
  readonly group?: number
}
interface Access extends Extent {
  readonly protect?: number
  /** Hint: not worth keeping in a cache. */
  readonly dpo?: boolean
}
interface Allocation {
  /** The most bytes of the answer that are wanted. */
  readonly allocationLength: number
}
interface Parameters {
  /** Bytes of the parameter list that is sent along. */
  readonly parameterLength: number
}
interface ModePages {
  readonly noBlockDescriptors?: boolean
  /** 0 current, 1 changeable, 2 default, 3 saved. */
  readonly pageControl?: number
  readonly page: number
  readonly subpage?: number
}

/** A command descriptor block. Flags and fields that are left out are 0. */
export type Cdb = { readonly naca?: boolean } & (
  | { readonly kind: 'test-unit-ready' }
  | ({ readonly kind: 'request-sense'; readonly descriptorFormat?: boolean } & Allocation)
  | ({ readonly kind: 'inquiry'; readonly evpd?: boolean; readonly page?: number } & Allocation)
  | ({ readonly kind: 'read' | 'write' } & Sized<6 | 10 | 12 | 16> & Access & { readonly fua?: boolean })
  | ({ readonly kind: 'write-and-verify' | 'verify' } & Sized<10 | 12 | 16> &
      Access & { readonly byteCheck?: number })
  | ({ readonly kind: 'or-write' | 'compare-and-write' } & Access & { readonly fua?: boolean })
  | ({ readonly kind: 'prefetch' | 'synchronize-cache' } & Sized<10 | 16> &
      Extent & { readonly immediate?: boolean })
  | ({ readonly kind: 'write-same' } & Sized<10 | 16> &
      Extent & {
        readonly protect?: number
        readonly unmap?: boolean
        readonly anchor?: boolean
        /** Only in 16 bytes: no block is sent, zeros are meant. */
        readonly noDataOut?: boolean
      })
  | ({ readonly kind: 'unmap'; readonly anchor?: boolean; readonly group?: number } & Parameters)
  | ({ readonly kind: 'get-lba-status'; readonly lba: number } & Allocation)
  | ({ readonly kind: 'read-capacity'; readonly lba?: number; readonly partial?: boolean } & (
      { readonly length: 10 } | ({ readonly length: 16 } & Allocation)
    ))
  | ({ readonly kind: 'report-luns'; readonly select?: number } & Allocation)
  | ({ readonly kind: 'mode-sense'; readonly longLba?: boolean } & Sized<6 | 10> & ModePages & Allocation)
  | ({ readonly kind: 'mode-select'; readonly pageFormat?: boolean; readonly savePages?: boolean } & Sized<
      6 | 10
    > &
      Parameters)
  | ({ readonly kind: 'reserve' | 'release'; readonly parameterLength?: number } & Sized<6 | 10>)
  | ({ readonly kind: 'persistent-reserve-in'; readonly serviceAction: 0 | 1 | 2 | 3 } & Allocation)
  | ({
      readonly kind: 'persistent-reserve-out'
      readonly serviceAction: 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7
      readonly scope?: number
      readonly type?: number
    } & Parameters)
  | {
      readonly kind: 'start-stop-unit'
      readonly immediate?: boolean
      readonly powerCondition?: number
      readonly noFlush?: boolean
      readonly loadEject?: boolean
      readonly start?: boolean
    }
  | ({
      readonly kind: 'send-diagnostic'
      readonly selfTestCode?: number
      readonly selfTest?: boolean
    } & Parameters)
  | { readonly kind: 'prevent-allow-removal'; readonly prevent: number }
  | ({
      readonly kind: 'read-defect-data'
      readonly primary?: boolean
      readonly grown?: boolean
      readonly format?: number
    } & Sized<10 | 12> &
      Allocation)
  | ({ readonly kind: 'extended-copy' } & Parameters)
  | ({
      readonly kind: 'receive-copy-results'
      readonly serviceAction: 0 | 1 | 3 | 4
      readonly listId?: number
    } & Allocation)
  | ({
      readonly kind: 'report-supported-opcodes'
      /** 0 all, 1 one opcode, 2 one opcode with service action, 3 either. */
      readonly reporting?: number
      readonly timeouts?: boolean
      readonly requestedOpcode?: number
      readonly requestedServiceAction?: number
    } & Allocation)
  | ({ readonly kind: 'report-supported-task-management'; readonly extended?: boolean } & Allocation)
)
export type CdbKind = Cdb['kind']
/** Those that share a shape come together. */
export type CdbOf<Kind extends CdbKind> = Narrowed<Cdb, Kind>
type Narrowed<Each extends Cdb, Kind> = Each extends Cdb
  ? [Extract<Each['kind'], Kind>] extends [never]
    ? never
    : Each
  : never

/** All CDBs of iSCSI's Basic Header Segment have room for 16 bytes. */
export const cdbBytes = 16

type Values = Record<string, number | boolean | string | undefined>

/** opcode -> layout; where the opcode has service actions: 256 + 32 * opcode + action -> layout. */
const byCode: (CdbLayout | undefined)[] = []
const hasActions = new Uint8Array(256)
const byKind = new Map<string, CdbLayout[]>()
for (const layout of cdbLayouts) {
  const { kind, opcode, serviceAction } = layout
  if (serviceAction === undefined) byCode[opcode] = layout
  else {
    hasActions[opcode] = 1
    byCode[256 + 32 * opcode + serviceAction] = layout
  }
  byKind.set(kind, [...(byKind.get(kind) ?? []), layout])
}

/** The layout of a CDB; undefined: the command or its service action is none of ours. */
export function findLayout(opcode: number, serviceAction: number): CdbLayout | undefined {
  return hasActions[opcode] === 1 ? byCode[256 + 32 * opcode + serviceAction] : byCode[opcode]
}

/** Whether the low five bits of the second byte choose the command. */
export const hasServiceActions = (opcode: number): boolean => hasActions[opcode] === 1

/** undefined: the command or its service action is none of ours. The bytes are 16, as iSCSI brings them. */
export function decodeCdb(bytes: Uint8Array): Cdb | undefined {
  const layout = findLayout(u8(bytes, 0), u8(bytes, 1) & 0x1f)
  if (layout === undefined || bytes.length < layout.length) return undefined
  const values: Values = { kind: layout.kind, length: layout.length }
  if (layout.serviceAction !== undefined) values['serviceAction'] = layout.serviceAction
  for (const field of layout.fields) {
    const value = readField(bytes, field)
    values[field.name] = field.isFlag ? value !== 0 : value
  }
  return values as unknown as Cdb
}

/**
 * Writes the CDB with zeros up to 16 bytes.
 * Throws bad-request when a value has no room in its field: an LBA above 2^32 in a CDB of 10 bytes.
 */
export function encodeCdb(cdb: Cdb, into: Uint8Array = new Uint8Array(cdbBytes), at = 0): Uint8Array {
  const values = cdb as unknown as Values
  const layout = layoutFor(cdb)
  into.fill(0, at, at + cdbBytes)
  into[at] = layout.opcode
  if (layout.serviceAction !== undefined) into[at + 1] = layout.serviceAction
  for (const field of layout.fields) writeField(into, at, field, Number(values[field.name] ?? 0))
  return into
}

/** A kind with one layout needs neither length nor service action to be told apart. */
function layoutFor(cdb: Cdb): CdbLayout {
  const { length, serviceAction } = cdb as unknown as Values
  const layouts = byKind.get(cdb.kind) ?? []
  const found =
    layouts.length === 1
      ? layouts[0]
      : layouts.find(
          (layout) =>
            (length === undefined || layout.length === length) &&
            (serviceAction === undefined || layout.serviceAction === serviceAction),
        )
  if (found === undefined) throw new AppError('bug', `there is no such CDB: ${JSON.stringify(cdb)}`)
  return found
}

function readField(bytes: Uint8Array, { byte, bytes: count, mask, zeroMeans }: CdbField): number {
  let value = u8(bytes, byte) & mask
  if (count === 1) value = value / (mask & -mask)
  for (let index = 1; index < count; index++) value = value * 256 + u8(bytes, byte + index)
  return value === 0 && zeroMeans !== undefined ? zeroMeans : value
}

function writeField(bytes: Uint8Array, at: number, field: CdbField, value: number): void {
  const { byte, bytes: count, mask, zeroMeans } = field
  const shift = count === 1 ? mask & -mask : 1
  const limit = count === 1 ? mask / shift : (mask + 1) * 256 ** (count - 1) - 1
  const wire = value === zeroMeans ? 0 : value
  if (!(wire >= 0 && wire <= limit))
    throw new AppError('bad-request', `${field.name} has no room for ${value} in this CDB`, {
      facts: { limit: String(limit) },
    })
  const kept = u8(bytes, at + byte)
  if (count === 1) bytes[at + byte] = kept | (wire * shift)
  else {
    put(bytes, at + byte, count, wire)
    if (mask !== 0xff) bytes[at + byte] = u8(bytes, at + byte) | (kept & ~mask)
  }
}
