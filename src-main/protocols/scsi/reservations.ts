import { AppError } from '#shared/errors/app-error.ts'
import { exact, malformed, put, putExact, slice, textOf, u16, u32, u8 } from './fields.ts'

/** SPC-4, 6.14.3.4; the numbers are the wire's. */
export const reservationType = {
  writeExclusive: 1,
  exclusiveAccess: 3,
  writeExclusiveRegistrants: 5,
  exclusiveAccessRegistrants: 6,
  writeExclusiveAllRegistrants: 7,
  exclusiveAccessAllRegistrants: 8,
} as const
export type ReservationType = (typeof reservationType)[keyof typeof reservationType]
export const isReservationType = (value: number): value is ReservationType =>
  Object.values<number>(reservationType).includes(value)

/** Service actions of PERSISTENT RESERVE IN and OUT. */
export const reserveIn = {
  readKeys: 0,
  readReservation: 1,
  reportCapabilities: 2,
  readFullStatus: 3,
} as const
export const reserveOut = {
  register: 0,
  reserve: 1,
  release: 2,
  clear: 3,
  preempt: 4,
  preemptAndAbort: 5,
  registerAndIgnore: 6,
  registerAndMove: 7,
} as const

/** What READ KEYS and READ RESERVATION begin with: generation, bytes that follow. */
function withHeader(generation: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + body.length)
  put(bytes, 0, 4, generation)
  put(bytes, 4, 4, body.length)
  bytes.set(body, 8)
  return bytes
}

function bodyOf(bytes: Uint8Array, what: string): { generation: number; body: Uint8Array; length: number } {
  slice(bytes, what, 0, 8)
  const length = u32(bytes, 4)
  return { generation: u32(bytes, 0), length, body: bytes.subarray(8, Math.min(bytes.length, 8 + length)) }
}

export function encodeReadKeys(generation: number, keys: readonly bigint[]): Uint8Array {
  const body = new Uint8Array(8 * keys.length)
  for (const [index, key] of keys.entries()) putExact(body, 8 * index, key)
  return withHeader(generation, body)
}

/** `total`: how many there are, of which `keys` have been sent. */
export function decodeReadKeys(bytes: Uint8Array): {
  readonly generation: number
  readonly keys: bigint[]
  readonly total: number
} {
  const { generation, body, length } = bodyOf(bytes, 'READ KEYS data')
  const keys: bigint[] = []
  for (let at = 0; at + 8 <= body.length; at += 8) keys.push(exact(body, at))
  return { generation, keys, total: length >> 3 }
}

export interface Reservation {
  /** 0 for the types of all registrants. */
  readonly key: bigint
  readonly type: ReservationType
}

export function encodeReadReservation(generation: number, reservation: Reservation | undefined): Uint8Array {
  if (reservation === undefined) return withHeader(generation, new Uint8Array(0))
  const body = new Uint8Array(16)
  putExact(body, 0, reservation.key)
  body[13] = reservation.type
  return withHeader(generation, body)
}

/** Throws device-rejected for a type that the standard does not know. */
export function decodeReadReservation(bytes: Uint8Array): {
  readonly generation: number
  readonly reservation: Reservation | undefined
} {
  const { generation, body, length } = bodyOf(bytes, 'READ RESERVATION data')
  if (length === 0) return { generation, reservation: undefined }
  slice(body, 'READ RESERVATION data', 0, 16)
  const type = u8(body, 13) & 0xf
  if (!isReservationType(type)) throw malformed('type of the reservation', 21, '1, 3 or 5 to 8', type)
  return { generation, reservation: { key: exact(body, 0), type } }
}

export interface ReserveCapabilities {
  /** Reservations outlive a loss of power (APTPL) where it is asked for; `isPersistent`: and is now. */
  readonly canPersist: boolean
  readonly isPersistent: boolean
  readonly types: readonly ReservationType[]
}

/** Bits of the type mask (SPC-4, table 196): byte 4 has 1, 3, 5, 6, 7 at their places, byte 5 has 8 at bit 0. */
export function encodeReserveCapabilities({
  canPersist,
  isPersistent,
  types,
}: ReserveCapabilities): Uint8Array {
  const bytes = new Uint8Array(8)
  put(bytes, 0, 2, 8)
  bytes[2] = canPersist ? 0x01 : 0
  bytes[3] = 0x80 | (isPersistent ? 0x01 : 0)
  for (const type of types) bytes[4 + (type >> 3)] = u8(bytes, 4 + (type >> 3)) | (1 << (type & 7))
  return bytes
}

export function decodeReserveCapabilities(bytes: Uint8Array): ReserveCapabilities {
  slice(bytes, 'REPORT CAPABILITIES data', 0, 8)
  if (u16(bytes, 0) < 6) throw malformed('length of the capabilities', 0, '8', u16(bytes, 0))
  return {
    canPersist: (u8(bytes, 2) & 1) !== 0,
    isPersistent: (u8(bytes, 3) & 1) !== 0,
    types: Object.values(reservationType).filter(
      (type) => (u8(bytes, 3) & 0x80) !== 0 && (u8(bytes, 4 + (type >> 3)) & (1 << (type & 7))) !== 0,
    ),
  }
}

/** One registration of READ FULL STATUS. */
export interface Registrant {
  readonly key: bigint
  /** Set for those who hold the reservation. */
  readonly type?: ReservationType
  readonly relativePort: number
  readonly transport: TransportId
}

/** Of iSCSI (SPC-4, 7.6.4.6): the initiator's name, and its session where one is meant. */
export interface TransportId {
  readonly name: string
  /** 12 hex digits. */
  readonly isid?: string
}

export function encodeTransportId({ name, isid }: TransportId): Uint8Array {
  const text = isid === undefined ? name : `${name},i,0x${isid}`
  const length = Math.max(20, (text.length + 4) & ~3)
  const bytes = new Uint8Array(4 + length)
  bytes[0] = isid === undefined ? 0x05 : 0x45
  put(bytes, 2, 2, length)
  for (let index = 0; index < text.length; index++) bytes[4 + index] = text.charCodeAt(index) & 0xff
  return bytes
}

/** undefined: of another transport. `length`: where the next one begins. Throws device-rejected. */
export function decodeTransportId(bytes: Uint8Array): {
  readonly id: TransportId | undefined
  readonly length: number
} {
  const first = u8(slice(bytes, 'TransportID', 0, 4), 0)
  if ((first & 0xf) !== 5) return { id: undefined, length: slice(bytes, 'TransportID', 0, 24).length }
  const length = u16(bytes, 2)
  const text = textOf(slice(bytes, 'TransportID', 4, length))
  const [name = '', isid] = text.split(',i,0x')
  return {
    id: first >> 6 === 1 && isid !== undefined ? { name, isid } : { name },
    length: 4 + length,
  }
}

export function encodeFullStatus(generation: number, registrants: readonly Registrant[]): Uint8Array {
  const parts = registrants.map(({ key, type, relativePort, transport }) => {
    const id = encodeTransportId(transport)
    const bytes = new Uint8Array(24 + id.length)
    putExact(bytes, 0, key)
    bytes[12] = type === undefined ? 0 : 1
    bytes[13] = type ?? 0
    put(bytes, 18, 2, relativePort)
    put(bytes, 20, 4, id.length)
    bytes.set(id, 24)
    return bytes
  })
  const body = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    body.set(part, at)
    at += part.length
  }
  return withHeader(generation, body)
}

/** Registrants of other transports and those that are cut off are left out. */
export function decodeFullStatus(bytes: Uint8Array): {
  readonly generation: number
  readonly registrants: Registrant[]
} {
  const { generation, body } = bodyOf(bytes, 'READ FULL STATUS data')
  const registrants: Registrant[] = []
  for (let at = 0; at + 24 <= body.length;) {
    const length = u32(body, at + 20)
    if (at + 24 + length > body.length) break
    const { id } = decodeTransportId(body.subarray(at + 24, at + 24 + length))
    const type = u8(body, at + 13) & 0xf
    if (id !== undefined)
      registrants.push({
        key: exact(body, at),
        ...((u8(body, at + 12) & 1) !== 0 && isReservationType(type) ? { type } : {}),
        relativePort: u16(body, at + 18),
        transport: id,
      })
    at += 24 + length
  }
  return { generation, registrants }
}

/** The parameter list of PERSISTENT RESERVE OUT (SPC-4, 6.14.3), for all actions but REGISTER AND MOVE. */
export interface ReserveParameters {
  /** The caller's own key, 0 when it has none yet. */
  readonly key: bigint
  /** The key to register, or whose holder is preempted. */
  readonly actionKey: bigint
  /** Registers these initiators instead of the caller (SPEC_I_PT). */
  readonly initiators?: readonly TransportId[]
  readonly allPorts?: boolean
  /** Keep over a loss of power. */
  readonly persist?: boolean
}

export function encodeReserveParameters(parameters: ReserveParameters): Uint8Array {
  const ids = (parameters.initiators ?? []).map(encodeTransportId)
  const idBytes = ids.reduce((sum, { length }) => sum + length, 0)
  const bytes = new Uint8Array(24 + (ids.length > 0 ? 4 + idBytes : 0))
  putExact(bytes, 0, parameters.key)
  putExact(bytes, 8, parameters.actionKey)
  bytes[20] =
    (ids.length > 0 ? 0x08 : 0) |
    (parameters.allPorts === true ? 0x04 : 0) |
    (parameters.persist === true ? 0x01 : 0)
  if (ids.length > 0) put(bytes, 24, 4, idBytes)
  let at = 28
  for (const id of ids) {
    bytes.set(id, at)
    at += id.length
  }
  return bytes
}

export function decodeReserveParameters(bytes: Uint8Array): ReserveParameters {
  slice(bytes, 'PERSISTENT RESERVE OUT parameters', 0, 24)
  const flags = u8(bytes, 20)
  const initiators: TransportId[] = []
  if ((flags & 0x08) !== 0) {
    slice(bytes, 'TransportID list', 24, 4)
    const ids = slice(bytes, 'TransportID list', 28, u32(bytes, 24))
    for (let at = 0; at < ids.length;) {
      const { id, length } = decodeTransportId(ids.subarray(at))
      if (id === undefined)
        throw new AppError('not-supported', 'a TransportID of another transport than iSCSI')
      initiators.push(id)
      at += length
    }
  }
  return {
    key: exact(bytes, 0),
    actionKey: exact(bytes, 8),
    ...((flags & 0x08) === 0 ? {} : { initiators }),
    allPorts: (flags & 0x04) !== 0,
    persist: (flags & 0x01) !== 0,
  }
}

/** The parameter list of REGISTER AND MOVE (SPC-4, 6.14.4). */
export interface MoveParameters {
  readonly key: bigint
  readonly actionKey: bigint
  /** The caller gives up its registration. */
  readonly unregister: boolean
  readonly persist: boolean
  readonly relativePort: number
  readonly transport: TransportId
}

export function encodeMoveParameters(parameters: MoveParameters): Uint8Array {
  const id = encodeTransportId(parameters.transport)
  const bytes = new Uint8Array(24 + id.length)
  putExact(bytes, 0, parameters.key)
  putExact(bytes, 8, parameters.actionKey)
  bytes[17] = (parameters.unregister ? 0x02 : 0) | (parameters.persist ? 0x01 : 0)
  put(bytes, 18, 2, parameters.relativePort)
  put(bytes, 20, 4, id.length)
  bytes.set(id, 24)
  return bytes
}

export function decodeMoveParameters(bytes: Uint8Array): MoveParameters {
  slice(bytes, 'REGISTER AND MOVE parameters', 0, 24)
  const { id } = decodeTransportId(slice(bytes, 'TransportID', 24, u32(bytes, 20)))
  if (id === undefined) throw new AppError('not-supported', 'a TransportID of another transport than iSCSI')
  return {
    key: exact(bytes, 0),
    actionKey: exact(bytes, 8),
    unregister: (u8(bytes, 17) & 0x02) !== 0,
    persist: (u8(bytes, 17) & 0x01) !== 0,
    relativePort: u16(bytes, 18),
    transport: id,
  }
}
