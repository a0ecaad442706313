import { Buffer } from 'node:buffer'
import { lockRecordBytes } from '#shared/domain/unit-layout.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { crc32c } from '../crc/crc32c.ts'
import { formatUuid, parseUuid } from '../gpt/guid.ts'

/** Who runs the VM of a unit, and since when (B13). */
export interface UnitLock {
  /** Name of the owner's computer. */
  readonly owner: string
  /** UUID of the owner's boot; zeros where its system has none. A lock of an earlier boot is not its own. */
  readonly bootId: string
  /** Milliseconds since 1970, by the owner's clock. */
  readonly takenAtMs: number
}

export type LockRecord =
  | { readonly state: 'free' }
  | { readonly state: 'held'; readonly lock: UnitLock }
  /** Neither zero nor a record that verifies: only a person frees it. */
  | { readonly state: 'damaged'; readonly problem: string }

/**
 * Little endian (docs/unit-format.md):
 *
 *     0     8   magic "GANTRYLK"       16    8   time, ms since 1970 (UTC)
 *     8     4   record version, 1      24   16   boot id, in the order of its text
 *     12    4   length of the name     40  468   name of the owner, UTF-8, then zeros
 *                                      508   4   CRC-32C of bytes 0 to 507
 */
const magic = Buffer.from('GANTRYLK')
const recordVersion = 1
const nameOffset = 40
const crcOffset = 508
const nameLimitBytes = crcOffset - nameOffset

/** Throws bad-request for a name that is empty or too long, or a time that is none. */
export function encodeLockRecord({ owner, bootId, takenAtMs }: UnitLock): Uint8Array {
  const name = Buffer.from(owner)
  if (name.length === 0 || name.length > nameLimitBytes)
    throw new AppError('bad-request', `The name of a lock's owner has 1 to ${nameLimitBytes} bytes`, {
      facts: { bytes: String(name.length) },
    })
  if (!Number.isSafeInteger(takenAtMs) || takenAtMs < 0)
    throw new AppError('bad-request', `${takenAtMs} is not a time for a lock`)
  const bytes = Buffer.alloc(lockRecordBytes)
  bytes.set(magic, 0)
  bytes.writeUInt32LE(recordVersion, 8)
  bytes.writeUInt32LE(name.length, 12)
  bytes.writeBigUInt64LE(BigInt(takenAtMs), 16)
  bytes.set(parseUuid(bootId), 24)
  bytes.set(name, nameOffset)
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, crcOffset)), crcOffset)
  return bytes
}

/** Never throws. */
export function decodeLockRecord(bytes: Uint8Array): LockRecord {
  const record = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).subarray(0, lockRecordBytes)
  if (record.length < lockRecordBytes) return damaged(`it is cut off after ${record.length} bytes`)
  if (record.every((byte) => byte === 0)) return { state: 'free' }
  if (!record.subarray(0, magic.length).equals(magic)) return damaged('its magic is wrong')
  if (record.readUInt32LE(crcOffset) !== crc32c(record.subarray(0, crcOffset)))
    return damaged('its checksum (CRC-32C) is wrong')
  const version = record.readUInt32LE(8)
  if (version !== recordVersion) return damaged(`its version ${version} is not known`)
  const nameBytes = record.readUInt32LE(12)
  const takenAtMs = record.readBigUInt64LE(16)
  if (nameBytes < 1 || nameBytes > nameLimitBytes || takenAtMs > BigInt(Number.MAX_SAFE_INTEGER))
    return damaged('its name or its time is out of range')
  const owner = decodeName(record.subarray(nameOffset, nameOffset + nameBytes))
  if (owner === undefined) return damaged('its name is not UTF-8')
  const bootId = formatUuid(record.subarray(24, 40))
  return { state: 'held', lock: { owner, bootId, takenAtMs: Number(takenAtMs) } }
}

const damaged = (problem: string): LockRecord => ({ state: 'damaged', problem })

function decodeName(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
